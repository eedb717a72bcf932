//! Prints a C file that checks the facts of `ffi::abi` against FreeBSD's headers when it is compiled.
//!
//! `tools/freebsd/abi.sh` does so for five architectures.

use std::collections::BTreeSet;

use ffi::abi::facts;

const HEAD: &str = r"#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <net/if.h>
#include <net/if_mib.h>
#include <net/route.h>
#include <netgraph/ng_iface.h>
#include <netgraph/ng_ksocket.h>
#include <netgraph/ng_message.h>
#include <netgraph/ng_socket.h>
#include <netinet/in.h>
#include <netinet/icmp6.h>
#include <netinet/in_var.h>
#include <netinet6/nd6.h>

#include <stddef.h>

/* Added to every value, to see each assertion fail. */
#ifndef WRONG_BY
#define	WRONG_BY 0
#endif

#ifdef __i386__
#define	VALUE(lp64, i386) ((i386) + WRONG_BY)
#else
#define	VALUE(lp64, i386) ((lp64) + WRONG_BY)
#endif

#define	FACT(expression, lp64, i386)	\
	_Static_assert((expression) == VALUE(lp64, i386), #expression);
";

fn main() {
    println!("{HEAD}");
    let facts: BTreeSet<String> = facts::all()
        .map(|fact| format!("FACT({}, {:#x}, {:#x})", fact.expression, fact.lp64, fact.i386))
        .collect();
    for fact in facts {
        println!("{fact}");
    }
}
