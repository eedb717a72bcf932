//! The values of the structs and numbers of [`abi`](super) in FreeBSD's headers.

/// A value in FreeBSD's headers, and the value in this crate.
///
/// `examples/abi-gate.rs` checks it against the headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// An expression in C, such as `sizeof(struct ifreq)`.
    pub expression: &'static str,
    /// Its value with pointers of 64 bits.
    pub lp64: u64,
    /// Its value on i386, with pointers and a `time_t` of 32 bits.
    pub i386: u64,
    /// Its value in this crate.
    pub(super) ours: u64,
}

impl Fact {
    /// Whether this crate agrees. Nothing is known of 32-bit hosts other than i386.
    const fn holds(&self) -> bool {
        if cfg!(target_pointer_width = "64") {
            self.ours == self.lp64
        } else {
            !cfg!(target_arch = "x86") || self.ours == self.i386
        }
    }
}

/// Panics with the first expression whose value differs.
pub(super) const fn check(facts: &[Fact]) {
    let mut unchecked = facts;
    while let [fact, rest @ ..] = unchecked {
        assert!(fact.holds(), "{}", fact.expression);
        unchecked = rest;
    }
}

/// All values that this crate takes from FreeBSD's headers. Those of a struct with several forms may be repeated.
pub fn all() -> impl Iterator<Item = &'static Fact> {
    [super::structs::FACTS, super::numbers::FACTS, super::numbers::IOCTL_FACTS].into_iter().flatten()
}

/// The value on i386, given that of other architectures and its own if it differs.
macro_rules! i386 {
    ($lp64:literal) => {
        $lp64
    };
    ($lp64:literal $i386:literal) => {
        $i386
    };
}

/// Makes the structs of a table, and `FACTS` of their sizes, alignments and offsets.
macro_rules! structs {
    (@path $field:ident) => { stringify!($field) };
    (@path $field:ident $path:literal) => { $path };
    ($($(#[$doc:meta])*
        $name:ident: $in_c:literal, size $size:literal $(| $size32:literal)?, align $align:literal $(| $align32:literal)? {
            $($field:ident: $type:ty $(=> $offset:literal $(| $offset32:literal)? $(, $path:literal)?)?;)*
        })*) => {
        $($(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[cfg_attr(target_pointer_width = "64", repr(C, align($align)))]
        #[cfg_attr(not(target_pointer_width = "64"), repr(C $(, align($align32))?))]
        pub struct $name { $(pub $field: $type,)* }

        impl Argument for $name {
            fn point(&mut self, address: usize, length: usize) {
                $(self.$field.point(address, length);)*
            }
        })*
        pub(super) const FACTS: &[Fact] = &[$(
            Fact {
                expression: concat!("sizeof(", $in_c, ")"),
                lp64: $size,
                i386: i386!($size $($size32)?),
                ours: size_of::<$name>() as u64,
            },
            Fact {
                expression: concat!("_Alignof(", $in_c, ")"),
                lp64: $align,
                i386: i386!($align $($align32)?),
                ours: align_of::<$name>() as u64,
            },
            $($(Fact {
                expression: concat!("offsetof(", $in_c, ", ", structs!(@path $field $($path)?), ")"),
                lp64: $offset,
                i386: i386!($offset $($offset32)?),
                ours: offset_of!($name, $field) as u64,
            },)?)*
        )*];
        const _: () = check(FACTS);
    };
}

/// Makes constants of a header, and `FACTS` of their values.
macro_rules! numbers {
    ($($header:literal { $($(#[$doc:meta])* $name:ident: $type:ty = $value:literal;)* })*) => {
        $($($(#[$doc])* #[doc = concat!(" From `", $header, "`.")] pub const $name: $type = $value;)*)*
        pub(super) const FACTS: &[Fact] = &[$($(
            Fact { expression: stringify!($name), lp64: $value, i386: $value, ours: $value },
        )*)*];
    };
}

/// Makes requests of ioctl(2), and `IOCTL_FACTS` of their numbers.
macro_rules! ioctls {
    ($($(#[$doc:meta])* $name:ident: $argument:ty = $number:literal $(| $number32:literal)?;)*) => {
        $($(#[$doc])* #[doc = " See `sys/sockio.h` and `netinet6/in6_var.h`."]
        pub const $name: Ioctl<$argument> = Ioctl::new(stringify!($name), [$number, i386!($number $($number32)?)]);)*
        pub(super) const IOCTL_FACTS: &[Fact] = &[$(Fact {
            expression: stringify!($name),
            lp64: $number,
            i386: i386!($number $($number32)?),
            ours: $name.number() as u64,
        },)*];
        const _: () = check(IOCTL_FACTS);
    };
}
