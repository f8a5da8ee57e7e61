//! Error numbers of Linux (`include/uapi/asm-generic/errno.h`, `include/linux/errno.h`), as helpers return them negated.

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident $number:literal $symbol:literal;)*) => {
        /// An error number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Errno {
            $($(#[$doc])* $name = $number,)*
        }

        impl Errno {
            /// All of them, by number.
            pub const ALL: &[Errno] = &[$(Errno::$name),*];

            /// The symbol.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Errno::$name => $symbol,)*
                }
            }
        }
    };
}

errnos! {
    /// Operation not permitted.
    Eperm 1 "EPERM";
    /// No such entry.
    Enoent 2 "ENOENT";
    /// No such process.
    Esrch 3 "ESRCH";
    /// Argument list too long: a full map, an index out of range.
    E2big 7 "E2BIG";
    /// Not the number of an open file.
    Ebadf 9 "EBADF";
    /// Try again.
    Eagain 11 "EAGAIN";
    /// Out of memory.
    Enomem 12 "ENOMEM";
    /// Permission denied.
    Eacces 13 "EACCES";
    /// Bad address.
    Efault 14 "EFAULT";
    /// Busy.
    Ebusy 16 "EBUSY";
    /// File exists.
    Eexist 17 "EEXIST";
    /// No such device.
    Enodev 19 "ENODEV";
    /// Invalid argument.
    Einval 22 "EINVAL";
    /// No space left.
    Enospc 28 "ENOSPC";
    /// Result out of range.
    Erange 34 "ERANGE";
    /// A deadlock would occur.
    Edeadlk 35 "EDEADLK";
    /// Name too long.
    Enametoolong 36 "ENAMETOOLONG";
    /// No message of that kind.
    Enomsg 42 "ENOMSG";
    /// Protocol error.
    Eproto 71 "EPROTO";
    /// Not a data message.
    Ebadmsg 74 "EBADMSG";
    /// Value too large for its type.
    Eoverflow 75 "EOVERFLOW";
    /// File descriptor in bad state.
    Ebadfd 77 "EBADFD";
    /// Message too long.
    Emsgsize 90 "EMSGSIZE";
    /// Protocol of the wrong type for the socket.
    Eprototype 91 "EPROTOTYPE";
    /// Protocol not available.
    Enoprotoopt 92 "ENOPROTOOPT";
    /// Protocol not supported.
    Eprotonosupport 93 "EPROTONOSUPPORT";
    /// Type of socket not supported.
    Esocktnosupport 94 "ESOCKTNOSUPPORT";
    /// Operation not supported.
    Eopnotsupp 95 "EOPNOTSUPP";
    /// Address family not supported.
    Eafnosupport 97 "EAFNOSUPPORT";
    /// Address in use.
    Eaddrinuse 98 "EADDRINUSE";
    /// Address not available.
    Eaddrnotavail 99 "EADDRNOTAVAIL";
    /// Network is down.
    Enetdown 100 "ENETDOWN";
    /// Network unreachable.
    Enetunreach 101 "ENETUNREACH";
    /// No buffer space.
    Enobufs 105 "ENOBUFS";
    /// Already in progress.
    Ealready 114 "EALREADY";
    /// Not supported: a number that never leaves the kernel otherwise.
    Enotsupp 524 "ENOTSUPP";
}

impl Errno {
    /// The number.
    pub const fn number(self) -> i64 {
        self as i64
    }
    /// What a helper with a 64-bit result returns.
    pub const fn result(self) -> u64 {
        (-self.number()) as u64
    }
    /// The error with this number.
    pub fn from_number(number: i64) -> Option<Errno> {
        Errno::ALL.iter().copied().find(|errno| errno.number() == number)
    }
    /// What a helper returns that does `done`: 0, or the negated error.
    pub fn returned(done: Result<(), Errno>) -> u64 {
        done.map_or_else(Errno::result, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_are_found() {
        assert!(Errno::ALL.is_sorted());
        assert!(Errno::ALL.iter().all(|errno| Errno::from_number(errno.number()) == Some(*errno)));
        assert_eq!(Errno::from_number(-22), None);
        assert_eq!(Errno::Einval.result(), (-22i64) as u64);
    }
}
