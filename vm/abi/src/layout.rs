//! Structs of the guest ABI, written and read field by field: little endian, whatever the host is.

/// Puts a struct together.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
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
    /// An empty struct.
    pub fn new() -> Self {
        Self::default()
    }

    put!(u8: u8, u16: u16, u32: u32, u64: u64, i32: i32, i64: i64);

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
    /// Starts at the first field.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    get!(u8: u8, u16: u16, u32: u32, u64: u64, i32: i32, i64: i64);

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
}
