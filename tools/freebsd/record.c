/*
 * Makes the calls that its standard input asks for, one a line, and prints what
 * went into the kernel and what came out, byte for byte.  See record.sh.
 */
#include <sys/param.h>
#include <sys/ioctl.h>
#include <sys/linker.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sockio.h>
#include <sys/time.h>

#include <net/if.h>
#include <net/if_var.h>
#include <net/route.h>
#include <netinet/in.h>
#include <netinet/in_var.h>
#include <netinet/ip6.h>
#include <netinet/icmp6.h>
#include <netinet6/in6_var.h>
#include <netinet6/nd6.h>

#include <arpa/inet.h>
#include <netgraph/ng_iface.h>
#include <netgraph/ng_ksocket.h>
#include <netgraph/ng_message.h>
#include <netgraph/ng_socket.h>

#include <err.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where arguments point to: always there, so that recordings can be compared. */
#define	BUFFER		((char *)0x10000)
#define	BUFFER_SIZE	4096

static const char *word[8];		/* The words of the line. */
static size_t length;			/* How much of BUFFER is in use. */
static char latest[BUFFER_SIZE];	/* The latest argument of ioctl(2), as the kernel left it. */
static int inet, inet6, routes, netgraph, echo;
static const struct timeval patience = { .tv_sec = 1 };	/* For what may not come. */

static void
dump(const char *field, const void *bytes, size_t size)
{
	const unsigned char *byte = bytes;

	printf("  %s %zu ", field, size);
	while (size-- > 0)
		printf("%02x", *byte++);
	printf("\n");
}

/* Whether a call has failed; prints its errno if so. */
static int
failed(int outcome)
{
	if (outcome < 0)
		printf("  -> errno %d %s\n", errno, strerror(errno));
	return (outcome < 0);
}

static struct sockaddr_in
ipv4(const char *address, const char *port)
{
	struct sockaddr_in sin = { .sin_len = sizeof(sin), .sin_family = AF_INET };

	sin.sin_port = htons(atoi(port));
	if (inet_pton(AF_INET, address, &sin.sin_addr) != 1)
		errx(1, "not an IPv4 address: %s", address);
	return (sin);
}

static struct sockaddr_in6
ipv6(const char *address)
{
	struct sockaddr_in6 sin6 = { .sin6_len = sizeof(sin6), .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET6, address, &sin6.sin6_addr) != 1)
		errx(1, "not an IPv6 address: %s", address);
	return (sin6);
}

/* Uses SIZE bytes of the buffer, for TEXT or zeros. */
static void *
buffer(const char *text, size_t size)
{
	length = MIN(size, BUFFER_SIZE);
	memset(BUFFER, 0, length);
	memcpy(BUFFER, text, MIN(strlen(text), length));
	return (length > 0 ? BUFFER : NULL);
}

static void
request(int s, const char *name, unsigned long number, void *argument, size_t size)
{
	if (length > 0)
		dump("buffer.in", BUFFER, length);
	dump("ioctl.in", argument, size);
	printf("  request %s 0x%lx\n", name, number);
	failed(ioctl(s, number, argument));
	dump("ioctl.out", argument, size);
	if (length > 0)
		dump("buffer.out", BUFFER, length);
	memcpy(latest, argument, size);
}

/* Steps that are an ioctl(2).  Its argument, `a`, begins with the second word. */
#define	IOCTL(step, s, number, type, name, ...)				\
static void								\
step(void)								\
{									\
	struct type a = { 0 };						\
									\
	strlcpy(a.name, word[1], sizeof(a.name));			\
	__VA_ARGS__;							\
	request(s, #number, number, &a, sizeof(a));			\
}

IOCTL(create, inet, SIOCIFCREATE2, ifreq, ifr_name)
IOCTL(destroy, inet, SIOCIFDESTROY, ifreq, ifr_name)
IOCTL(set_name, inet, SIOCSIFNAME, ifreq, ifr_name,
    a.ifr_data = buffer(word[2], strlen(word[2]) + 1))
IOCTL(set_description, inet, SIOCSIFDESCR, ifreq, ifr_name,
    a.ifr_buffer.buffer = buffer(word[2], strlen(word[2]) + 1), a.ifr_buffer.length = length)
IOCTL(get_description, inet, SIOCGIFDESCR, ifreq, ifr_name,
    a.ifr_buffer.buffer = buffer("", atoi(word[2])), a.ifr_buffer.length = length)
IOCTL(join_group, inet, SIOCAIFGROUP, ifgroupreq, ifgr_name,
    strlcpy(a.ifgr_group, word[2], sizeof(a.ifgr_group)))
IOCTL(members, inet, SIOCGIFGMEMB, ifgroupreq, ifgr_name,
    a.ifgr_groups = buffer("", atoi(word[2])), a.ifgr_len = length)
IOCTL(set_outer, inet, SIOCSIFPHYADDR, in_aliasreq, ifra_name,
    a.ifra_addr = ipv4(word[2], "0"), a.ifra_dstaddr = ipv4(word[3], "0"))
IOCTL(set_mtu, inet, SIOCSIFMTU, ifreq, ifr_name, a.ifr_mtu = atoi(word[2]))
IOCTL(get_index, inet, SIOCGIFINDEX, ifreq, ifr_name)
IOCTL(get_fib, inet, SIOCGIFFIB, ifreq, ifr_name)
IOCTL(get_flags, inet, SIOCGIFFLAGS, ifreq, ifr_name)
IOCTL(set_up, inet, SIOCSIFFLAGS, ifreq, ifr_name,
    memcpy(&a, latest, sizeof(a)), a.ifr_flags |= IFF_UP)
IOCTL(get_nd, inet6, SIOCGIFINFO_IN6, in6_ndireq, ifname)
IOCTL(enable_ipv6, inet6, SIOCSIFINFO_IN6, in6_ndireq, ifname,
    memcpy(&a, latest, sizeof(a)), a.ndi.flags &= ~ND6_IFF_IFDISABLED)
IOCTL(add_address, inet6, SIOCAIFADDR_IN6, in6_aliasreq, ifra_name,
    a.ifra_addr = ipv6(word[2]), a.ifra_dstaddr = ipv6(word[3]),
    a.ifra_prefixmask = ipv6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    a.ifra_lifetime.ia6t_vltime = a.ifra_lifetime.ia6t_pltime = ND6_INFINITE_LIFETIME)
IOCTL(remove_address, inet6, SIOCDIFADDR_IN6, in6_ifreq, ifr_name, a.ifr_addr = ipv6(word[2]))
IOCTL(get_address_flags, inet6, SIOCGIFAFLAG_IN6, in6_ifreq, ifr_name, a.ifr_addr = ipv6(word[2]))

/* Prints the routing messages so far, and those that come within a second. */
static void
get_changes(void)
{
	char bytes[BUFFER_SIZE];
	ssize_t received;

	while ((received = read(routes, bytes, sizeof(bytes))) > 0)
		dump("route.msg", bytes, received);
}

/* Opens a socket for echo, and binds it to the address of the second word, which may be ::. */
static void
open_echo(void)
{
	const unsigned int loop = 0;
	const struct sockaddr_in6 local = ipv6(word[1]);
	struct icmp6_filter filter;

	echo = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	if (failed(echo))
		return;
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &filter);
	setsockopt(echo, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter));
	setsockopt(echo, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &loop, sizeof(loop));
	setsockopt(echo, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	failed(bind(echo, (const void *)&local, sizeof(local)));
}

/* Sends an echo request with the sequence number of the fourth word, in a packet of the size of the fifth. */
static void
ping(void)
{
	char bytes[BUFFER_SIZE] = { 0 };
	struct icmp6_hdr *icmp = (void *)bytes;
	struct sockaddr_in6 to = ipv6(word[2]);
	size_t size = atoi(word[4]) - sizeof(struct ip6_hdr);

	icmp->icmp6_type = ICMP6_ECHO_REQUEST;
	icmp->icmp6_id = htons(0x1234);
	icmp->icmp6_seq = htons(atoi(word[3]));
	memcpy(icmp + 1, "a token!", 8);
	if (IN6_IS_ADDR_MULTICAST(&to.sin6_addr))
		to.sin6_scope_id = if_nametoindex(word[1]);
	dump("echo.out", bytes, size);
	failed(sendto(echo, bytes, size, 0, (void *)&to, sizeof(to)));
}

/* Prints the reply, if one comes within a second. */
static void
get_echo(void)
{
	char bytes[BUFFER_SIZE];
	ssize_t received = recv(echo, bytes, sizeof(bytes), 0);

	if (received >= 0)
		dump("echo.in", bytes, received);
}

static void
open_netgraph(void)
{
	const struct timeval patience = { .tv_sec = 5 };

	netgraph = socket(PF_NETGRAPH, SOCK_DGRAM, NG_CONTROL);
	if (!failed(netgraph))
		setsockopt(netgraph, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

/* Sends a message to the node of the second word.  Its name for people is the first. */
static int
message(int cookie, int number, const void *arguments, size_t size)
{
	static int token;
	char bytes[BUFFER_SIZE] = { 0 }, address[SOCK_MAXADDRLEN] = { 0 };
	struct ng_mesg *m = (void *)bytes;
	struct sockaddr_ng *to = (void *)address;

	m->header.version = NG_VERSION;
	m->header.arglen = size;
	m->header.cmd = number;
	m->header.token = ++token;
	m->header.typecookie = cookie;
	strlcpy((char *)m->header.cmdstr, word[0], NG_CMDSTRSIZ);
	memcpy(m->data, arguments, size);
	to->sg_family = AF_NETGRAPH;
	to->sg_len = offsetof(struct sockaddr_ng, sg_data) + strlen(word[1]) + 1;
	memcpy(to->sg_data, word[1], strlen(word[1]));
	dump("sendto.addr", to, to->sg_len);
	dump("sendto.msg", m, sizeof(*m) + size);
	return (failed(sendto(netgraph, m, sizeof(*m) + size, 0, (void *)to, to->sg_len)));
}

/* Sends a message, and prints the answer. */
static void
ask(int cookie, int number)
{
	char bytes[BUFFER_SIZE], address[SOCK_MAXADDRLEN];
	socklen_t size = sizeof(address);
	ssize_t received;

	if (message(cookie, number, "", 0))
		return;
	received = recvfrom(netgraph, bytes, sizeof(bytes), 0, (void *)address, &size);
	if (failed(received))
		return;
	dump("recv.addr", address, size);
	dump("recv.msg", bytes, received);
}

static void
make_peer(void)
{
	struct ngm_mkpeer a = { 0 };

	strlcpy(a.type, word[2], sizeof(a.type));
	strlcpy(a.ourhook, word[3], sizeof(a.ourhook));
	strlcpy(a.peerhook, word[4], sizeof(a.peerhook));
	message(NGM_GENERIC_COOKIE, NGM_MKPEER, &a, sizeof(a));
}

static void
ksocket(int number)
{
	struct sockaddr_in a = ipv4(word[2], word[3]);

	message(NGM_KSOCKET_COOKIE, number, &a, sizeof(a));
}

static void
check_address(void)
{
	const struct sockaddr_in a = ipv4(word[1], "0");

	failed(setsockopt(inet, IPPROTO_IP, IP_MULTICAST_IF, &a.sin_addr, sizeof(a.sin_addr)));
}

static void load_module(void) { failed(kldload(word[1])); }
static void become_nobody(void) { failed(setuid(65534)); }
static void close_netgraph(void) { failed(close(netgraph)); }
static void bind_ksocket(void) { ksocket(NGM_KSOCKET_BIND); }
static void connect_ksocket(void) { ksocket(NGM_KSOCKET_CONNECT); }
static void get_name(void) { ask(NGM_KSOCKET_COOKIE, NGM_KSOCKET_GETNAME); }
static void get_peer_name(void) { ask(NGM_KSOCKET_COOKIE, NGM_KSOCKET_GETPEERNAME); }
static void get_interface_name(void) { ask(NGM_IFACE_COOKIE, NGM_IFACE_GET_IFNAME); }
static void list_nodes(void) { ask(NGM_GENERIC_COOKIE, NGM_LISTNODES); }
static void shut_down(void) { message(NGM_GENERIC_COOKIE, NGM_SHUTDOWN, "", 0); }

static const struct { const char *name; void (*make)(void); } steps[] = {
#define	STEP(name) { #name, name }
	STEP(create), STEP(destroy), STEP(set_name), STEP(set_description), STEP(get_description),
	STEP(join_group), STEP(members), STEP(set_outer), STEP(set_mtu), STEP(get_index), STEP(get_fib), STEP(get_flags), STEP(set_up),
	STEP(get_nd), STEP(enable_ipv6), STEP(add_address), STEP(remove_address), STEP(get_address_flags),
	STEP(load_module), STEP(become_nobody), STEP(get_changes), STEP(check_address), STEP(open_netgraph), STEP(close_netgraph),
	STEP(open_echo), STEP(ping), STEP(get_echo),
	{ "mkpeer", make_peer }, { "bind", bind_ksocket }, { "connect", connect_ksocket },
	{ "getname", get_name }, { "getpeername", get_peer_name }, { "getifname", get_interface_name },
	{ "listnodes", list_nodes }, { "shutdown", shut_down },
};

/* Makes the call of a line.  Words in quotation marks may have blanks in them, or nothing. */
static void
make(char *line)
{
	for (size_t i = 0; i < nitems(word); i++) {
		line += strspn(line, " ");
		char quoted = *line == '"';

		word[i] = line += quoted;
		line += strcspn(line, quoted ? "\"" : " ");
		if (*line != '\0')
			*line++ = '\0';
	}
	length = 0;
	for (size_t i = 0; i < nitems(steps); i++)
		if (strcmp(word[0], steps[i].name) == 0) {
			steps[i].make();
			return;
		}
	errx(1, "no such step: %s", word[0]);
}

int
main(void)
{
	char line[1024];

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (mmap(BUFFER, BUFFER_SIZE, PROT_READ | PROT_WRITE, MAP_ANON | MAP_FIXED, -1, 0) != BUFFER)
		err(1, "mmap");
	inet = socket(AF_INET, SOCK_DGRAM, 0);
	inet6 = socket(AF_INET6, SOCK_DGRAM, 0);
	routes = socket(PF_ROUTE, SOCK_RAW, 0);
	setsockopt(routes, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));

	while (fgets(line, sizeof(line), stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "RUN ", 4) == 0) {
			printf("%s\n", line);
			memcpy(line, ">&2 ", 4);
			system(line);
		} else {
			printf("STEP %s\n", line);
			make(line);
		}
	}
	return (0);
}
