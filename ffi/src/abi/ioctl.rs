//! Requests of ioctl(2): their numbers, and the arguments that go with them.

use std::marker::PhantomData;

/// The number of an ioctl(2) request, with the type of its argument.
#[derive(Debug)]
pub struct Ioctl<T> {
    /// Its name in the C headers.
    pub name: &'static str,
    /// Direction, size of the argument, group and number in that group (`sys/ioccom.h`): 32 bits in a type
    /// as wide as ioctl(2)'s `unsigned long`.
    pub number: usize,
    argument: PhantomData<fn(T) -> T>,
}

impl<T> Clone for Ioctl<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Ioctl<T> {}

impl<T> Ioctl<T> {
    /// `_IOW`: the kernel reads the argument.
    pub(super) const fn write(name: &'static str, group: u8, number: u8) -> Self {
        Self::new(name, 0x8000_0000, group, number)
    }

    /// `_IOWR`: the kernel reads the argument and writes to it.
    pub(super) const fn read_write(name: &'static str, group: u8, number: u8) -> Self {
        Self::new(name, 0xc000_0000, group, number)
    }

    /// `_IOC`: thirteen bits hold the size of the argument.
    const fn new(name: &'static str, direction: usize, group: u8, number: u8) -> Self {
        const SIZE_MASK: usize = (1 << 13) - 1;
        assert!(size_of::<T>() <= SIZE_MASK);
        let number = direction | size_of::<T>() << 16 | (group as usize) << 8 | number as usize;
        Self { name, number, argument: PhantomData }
    }
}

/// An ioctl(2) that is ready to be made: a request and its argument, of the size that the request's number
/// tells the kernel. The buffer to which the argument points, where there is one, is borrowed for `'buffer`.
#[derive(Debug)]
pub struct Call<'buffer, T> {
    pub(crate) request: Ioctl<T>,
    pub(crate) argument: T,
    buffer: PhantomData<&'buffer mut [u8]>,
}

impl<T> Call<'_, T> {
    /// A call whose argument, if it points anywhere, points to a buffer that is borrowed as long as the call.
    pub(crate) fn new(request: Ioctl<T>, argument: T) -> Self {
        Self { request, argument, buffer: PhantomData }
    }

    /// What is asked of the kernel.
    pub fn request(&self) -> Ioctl<T> {
        self.request
    }

    /// With what argument.
    pub fn argument(&self) -> &T {
        &self.argument
    }
}
