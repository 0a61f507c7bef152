//! Structs of the guest ABI, written and read field by field: little endian, whatever the host is.
//!
//! Most structs are the same on i386 and x86-64 but for the size of pointers and `long`s, and of times. A [`Layout`]
//! says which those are, and so the same code reads and writes both.

/// Nanoseconds in a second.
const SECOND_NS: u64 = 1_000_000_000;

/// What the structs of a program's system calls look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// Bytes of a pointer, a `long` and a `size_t`; also how far longer fields are aligned.
    pub word_bytes: u64,
    /// Bytes of either half of a `struct timespec`.
    pub time_bytes: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Self::X86_64
    }
}

impl Layout {
    /// 64-bit programs.
    pub const X86_64: Layout = Layout { word_bytes: 8, time_bytes: 8 };
    /// 32-bit programs.
    pub const I386: Layout = Layout { word_bytes: 4, time_bytes: 4 };
    /// 32-bit programs, in calls made for times after 2038 (`*_time64`).
    pub const I386_TIME64: Layout = Layout { word_bytes: 4, time_bytes: 8 };

    /// Whether these are a 32-bit program's.
    pub fn is_32(self) -> bool {
        self.word_bytes == 4
    }

    /// Bytes of a `struct timespec`.
    pub fn timespec_bytes(self) -> u64 {
        2 * self.time_bytes
    }

    /// Bytes of a `struct timeval`, for which there is no `time64` variant.
    pub fn timeval_bytes(self) -> u64 {
        2 * self.word_bytes
    }

    /// Starts a struct.
    pub fn writer(self) -> Writer {
        Writer { bytes: Vec::new(), layout: self }
    }

    /// Starts at a struct's first field.
    pub fn reader(self, bytes: &[u8]) -> Reader<'_> {
        Reader { layout: self, ..Reader::new(bytes) }
    }
}

/// Puts a struct together.
#[derive(Clone, Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    layout: Layout,
}

impl Default for Writer {
    fn default() -> Self {
        Layout::X86_64.writer()
    }
}

macro_rules! put {
    ($($name:ident: $ty:ty),*) => { $(
        /// Appends one field.
        #[must_use]
        pub fn $name(mut self, value: $ty) -> Self {
            self.bytes.extend_from_slice(&value.to_le_bytes());
            self
        }
    )* };
}

impl Writer {
    /// An empty struct. One with words in it starts with [`Layout::writer`].
    pub fn new() -> Self {
        Self::default()
    }

    put!(u8: u8, u16: u16, u32: u32, u64: u64, i32: i32, i64: i64);

    /// Appends a pointer or an unsigned `long`.
    #[must_use]
    pub fn word(self, value: u64) -> Self {
        if self.layout.is_32() { self.u32(value as u32) } else { self.u64(value) }
    }

    /// Appends the padding before a word.
    #[must_use]
    pub fn align(self) -> Self {
        let end = self.bytes.len().next_multiple_of(self.layout.word_bytes as usize);
        self.pad_to(end)
    }

    /// Appends a `struct timespec`.
    #[must_use]
    pub fn timespec(self, ns: u64) -> Self {
        let (seconds, nanos) = (ns / SECOND_NS, ns % SECOND_NS);
        match self.layout.time_bytes {
            4 => self.u32(seconds as u32).u32(nanos as u32),
            _ => self.u64(seconds).u64(nanos),
        }
    }

    /// Appends a `struct timeval`.
    #[must_use]
    pub fn timeval(self, ns: u64) -> Self {
        self.word(ns / SECOND_NS).word(ns % SECOND_NS / 1000)
    }

    /// Appends bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    /// Appends zero bytes up to an offset (padding).
    #[must_use]
    pub fn pad_to(mut self, offset: usize) -> Self {
        if self.bytes.len() < offset {
            self.bytes.resize(offset, 0);
        }
        self
    }

    /// The struct.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Takes a struct apart. Fields past the end read as zero, as for a struct of an older, shorter version.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    whole: usize,
    layout: Layout,
}

macro_rules! get {
    ($($name:ident: $ty:ty),*) => { $(
        /// The next field.
        pub fn $name(&mut self) -> $ty {
            let mut field = [0; size_of::<$ty>()];
            let len = field.len().min(self.bytes.len());
            let (head, rest) = self.bytes.split_at(len);
            field[..len].copy_from_slice(head);
            self.bytes = rest;
            <$ty>::from_le_bytes(field)
        }
    )* };
}

impl<'a> Reader<'a> {
    /// Starts at the first field. For a struct with words in it, there is [`Layout::reader`].
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, whole: bytes.len(), layout: Layout::X86_64 }
    }

    get!(u8: u8, u16: u16, u32: u32, u64: u64, i32: i32, i64: i64);

    /// The next pointer or unsigned `long`.
    pub fn word(&mut self) -> u64 {
        if self.layout.is_32() { self.u32().into() } else { self.u64() }
    }

    /// The next `long`.
    pub fn long(&mut self) -> i64 {
        if self.layout.is_32() { self.i32().into() } else { self.i64() }
    }

    /// Skips the padding before a word.
    pub fn align(&mut self) {
        let done = self.whole - self.bytes.len();
        let padding = done.next_multiple_of(self.layout.word_bytes as usize) - done;
        self.bytes = self.bytes.get(padding..).unwrap_or_default();
    }

    /// The next `struct timespec`: seconds and nanoseconds, as they are.
    pub fn timespec(&mut self) -> (i64, i64) {
        match (self.layout.time_bytes, self.layout.is_32()) {
            (4, _) => (self.i32().into(), self.i32().into()),
            // What a 32-bit C library leaves beside a `long` is not looked at (`get_timespec64`).
            (_, true) => (self.i64(), i64::from(self.i64() as u32)),
            (_, false) => (self.i64(), self.i64()),
        }
    }

    /// The next `struct timeval`: seconds and microseconds, as they are.
    pub fn timeval(&mut self) -> (i64, i64) {
        (self.long(), self.long())
    }

    /// Bytes not read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = Writer::new().u8(1).pad_to(4).u32(0x0203_0405).i64(-6).finish();
        assert_eq!(bytes, [1, 0, 0, 0, 5, 4, 3, 2, 0xfa, 255, 255, 255, 255, 255, 255, 255]);
        let mut reader = Reader::new(&bytes);
        assert_eq!((reader.u32(), reader.u32(), reader.i64(), reader.u64()), (1, 0x0203_0405, -6, 0));
    }

    #[test]
    fn words_are_as_long_as_the_layout_says() {
        for layout in [Layout::X86_64, Layout::I386, Layout::I386_TIME64] {
            let bytes = layout.writer().word(7).u8(1).align().word(8).timespec(3 * SECOND_NS + 5).finish();
            assert_eq!(bytes.len() as u64, 3 * layout.word_bytes + layout.timespec_bytes());
            let mut reader = layout.reader(&bytes);
            assert_eq!((reader.word(), reader.u8()), (7, 1));
            reader.align();
            assert_eq!((reader.word(), reader.timespec()), (8, (3, 5)));
        }
    }
}
