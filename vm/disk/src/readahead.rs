//! Read-ahead: guessing from the last reads which chunks the next ones want.

use std::ops::Range;

/// Chunks fetched before anybody asked: 1 MiB, what a fast connection delivers while a program digests the last one.
pub const READ_AHEAD_CHUNKS_MAX: u64 = 8;

/// Sequential readers told apart. A pipeline of a few programs reads a few files at a time.
const STREAMS: usize = 4;

#[derive(Clone, Copy, Default)]
struct Stream {
    /// Chunk after the last one read; zero for a stream not in use.
    next: u64,
    /// Chunk after the last one fetched ahead.
    ahead: u64,
    /// How far to look ahead, doubled with every success.
    window: u64,
}

/// Recognises sequential readers.
#[derive(Default)]
pub struct ReadAhead {
    streams: [Stream; STREAMS],
    /// Which stream is given up next.
    oldest: usize,
}

impl ReadAhead {
    /// Notes a read of `chunks`; returns those to fetch ahead of the next one.
    pub fn after_read(&mut self, chunks: &Range<u64>) -> Range<u64> {
        let continued = |stream: &&mut Stream| stream.next != 0 && (chunks.start..=chunks.end).contains(&stream.next);
        if let Some(stream) = self.streams.iter_mut().find(continued) {
            if chunks.end == stream.next {
                return 0..0; // Still inside the chunk it read last.
            }
            stream.window = (stream.window * 2).clamp(1, READ_AHEAD_CHUNKS_MAX);
            stream.next = chunks.end;
            let start = stream.ahead.max(chunks.end);
            stream.ahead = start.max(chunks.end.saturating_add(stream.window));
            return start..stream.ahead;
        }
        if let Some(stream) = self.streams.get_mut(self.oldest) {
            *stream = Stream { next: chunks.end, ahead: chunks.end, window: 0 };
        }
        self.oldest = (self.oldest + 1) % STREAMS;
        0..0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequential_reader_gets_a_growing_window_once() {
        let mut ahead = ReadAhead::default();
        assert_eq!(ahead.after_read(&(10..11)), 0..0);
        assert_eq!(ahead.after_read(&(10..11)), 0..0);
        assert_eq!(ahead.after_read(&(11..12)), 12..13);
        assert_eq!(ahead.after_read(&(12..13)), 13..15);
        assert_eq!(ahead.after_read(&(13..14)), 15..18);
        let mut fetched_until = 18;
        for chunk in 14..100 {
            let range = ahead.after_read(&(chunk..chunk + 1));
            assert!(range.start >= fetched_until || range.is_empty(), "chunk {chunk} fetched twice: {range:?}");
            assert!(range.end <= chunk + 1 + READ_AHEAD_CHUNKS_MAX, "{range:?}");
            fetched_until = fetched_until.max(range.end);
        }
    }

    #[test]
    fn interleaved_readers_are_told_apart_and_random_ones_get_nothing() {
        let mut ahead = ReadAhead::default();
        ahead.after_read(&(100..101));
        ahead.after_read(&(200..201));
        assert_eq!(ahead.after_read(&(101..102)), 102..103);
        assert_eq!(ahead.after_read(&(201..202)), 202..203);
        for chunk in [7, 5000, 33, 1, 900, 4] {
            assert_eq!(ahead.after_read(&(chunk..chunk + 1)), 0..0);
        }
    }
}
