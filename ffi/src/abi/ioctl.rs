//! Requests of ioctl(2): their numbers and arguments.

use std::marker::PhantomData;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The number of an ioctl(2) request, with the type of its argument.
#[derive(Debug, Clone, Copy)]
pub struct Ioctl<T> {
    /// Its name in the C headers.
    pub name: &'static str,
    number: u32,
    argument: PhantomData<fn(T) -> T>,
}

impl<T> Ioctl<T> {
    /// The request with one of these numbers: the one that encodes the size of `T`.
    pub(super) const fn new(name: &'static str, numbers: [u32; 2]) -> Self {
        let [lp64, i386] = numbers;
        let number = if argument_size(lp64) == size_of::<T>() { lp64 } else { i386 };
        assert!(argument_size(number) == size_of::<T>(), "the kernel would use another size");
        Self { name, number, argument: PhantomData }
    }

    /// Direction, size of the argument, group and number in that group (`sys/ioccom.h`).
    pub const fn number(&self) -> u32 {
        self.number
    }
}

/// The size of the argument, in bytes, as encoded in a request's number.
const fn argument_size(number: u32) -> usize {
    (number >> 16) as usize & 0x1fff
}

/// A call of ioctl(2), before or after it is made.
#[derive(Debug)]
pub struct Call<T> {
    /// The request, which determines the type of the argument.
    pub request: Ioctl<T>,
    /// Read by the kernel, which may then write its answer here.
    pub argument: T,
    /// The memory that a pointer in the argument refers to. The kernel reads or writes it.
    pub buffer: Vec<u8>,
}

impl<T> Call<T> {
    /// A call without a buffer.
    pub(crate) fn new(request: Ioctl<T>, argument: T) -> Self {
        Self { request, argument, buffer: Vec::new() }
    }
}

/// The argument of an ioctl(2), or a part of it.
pub trait Argument: FromBytes + IntoBytes + Immutable {
    /// Sets all pointers in it to this address, and all lengths to this one, in bytes. This is done just before a call.
    fn point(&mut self, _address: usize, _length: usize) {}
}

impl Argument for u8 {}
impl Argument for u16 {}
impl Argument for u32 {}
impl Argument for i32 {}
impl Argument for u64 {}
impl Argument for i64 {}

impl<T: Argument, const LENGTH: usize> Argument for [T; LENGTH] {
    fn point(&mut self, address: usize, length: usize) {
        for part in self {
            part.point(address, length);
        }
    }
}

/// A pointer to the buffer of a [`Call`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Pointer(usize);

impl Argument for Pointer {
    fn point(&mut self, address: usize, _length: usize) {
        self.0 = address;
    }
}

/// The length of the buffer of a [`Call`], in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(transparent)]
pub struct Length<T>(T);

impl<T: TryInto<usize>> Length<T> {
    /// The length, which the kernel may have changed to the required one.
    pub fn get(self) -> usize {
        self.0.try_into().unwrap_or(usize::MAX)
    }
}

impl<T: TryFrom<usize> + Default + FromBytes + IntoBytes + Immutable> Argument for Length<T> {
    fn point(&mut self, _address: usize, length: usize) {
        self.0 = T::try_from(length).unwrap_or_default();
    }
}
