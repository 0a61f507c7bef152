//! `constants!`: numbers of the Linux ABI, each compared with the C library's by a test.

/// Declares constants of one type and a test that the `libc` crate agrees on every one of them, or another with the kernel's
/// headers.
macro_rules! constants {
    ($test:ident: $ty:ty { $($name:ident = $value:expr;)* }) => {
        constants! { $test: $ty as libc { $($name = $value;)* } }
    };
    ($test:ident: $ty:ty as $headers:path { $($name:ident = $value:expr;)* }) => {
        $( #[allow(missing_docs)] pub const $name: $ty = $value; )*

        #[cfg(test)]
        mod $test {
            use $headers as headers;

            #[test]
            fn same_as_the_c_library() {
                // Compared bit for bit: C's signed and unsigned versions of a constant differ in nothing else.
                $( assert_eq!(super::$name as i64 as u32, headers::$name as i64 as u32, stringify!($name)); )*
            }
        }
    };
}
