//! Read-ahead: guessing from the last reads which chunks the next ones want.
//!
//! A reader that goes on where it stopped gets a window that grows. Whoever has to wait for a chunk gets the one after it
//! too: programs jump about in files that are larger than a chunk. Over what python3, gcc, curl, vi, ls -R and grep -r read
//! of the default image, that saves a quarter of all waits for a tenth more chunks; fetching whole neighbourhoods of 1 MiB
//! once two or three chunks of them were wanted would save some more, and fetch up to half as much again.

use std::ops::Range;

/// Chunks fetched before anybody asked: 1 MiB, what a fast connection delivers while a program digests the last one.
pub const READ_AHEAD_CHUNKS_MAX: u64 = 8;

/// Chunks fetched together with one that is waited for.
pub const NEIGHBOURS: u64 = 1;

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
    /// Notes a read of `chunks`, which has to wait for what it has asked for if `waits`; returns those to fetch ahead of the
    /// next one.
    pub fn after_read(&mut self, chunks: &Range<u64>, waits: bool) -> Range<u64> {
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
        let ahead = chunks.end.saturating_add(if waits { NEIGHBOURS } else { 0 });
        if let Some(stream) = self.streams.get_mut(self.oldest) {
            *stream = Stream { next: chunks.end, ahead, window: 0 };
        }
        self.oldest = (self.oldest + 1) % STREAMS;
        chunks.end..ahead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequential_reader_gets_a_growing_window_once() {
        let mut ahead = ReadAhead::default();
        assert_eq!(ahead.after_read(&(10..11), false), 11..11);
        assert_eq!(ahead.after_read(&(10..11), false), 0..0);
        assert_eq!(ahead.after_read(&(11..12), false), 12..13);
        assert_eq!(ahead.after_read(&(12..13), false), 13..15);
        assert_eq!(ahead.after_read(&(13..14), false), 15..18);
        let mut fetched_until = 18;
        for chunk in 14..100 {
            let range = ahead.after_read(&(chunk..chunk + 1), false);
            assert!(range.start >= fetched_until || range.is_empty(), "chunk {chunk} fetched twice: {range:?}");
            assert!(range.end <= chunk + 1 + READ_AHEAD_CHUNKS_MAX, "{range:?}");
            fetched_until = fetched_until.max(range.end);
        }
    }

    #[test]
    fn who_waits_gets_a_neighbour_too() {
        let mut ahead = ReadAhead::default();
        assert_eq!(ahead.after_read(&(10..12), true), 12..13);
        assert_eq!(ahead.after_read(&(10..12), true), 0..0, "it asks again while it waits");
        assert_eq!(ahead.after_read(&(12..13), false), 13..14);
        assert_eq!(ahead.after_read(&(500..501), true), 501..502);
        assert_eq!(ahead.after_read(&(u64::MAX - 1..u64::MAX), true), u64::MAX..u64::MAX);
    }

    #[test]
    fn interleaved_readers_are_told_apart_and_random_ones_get_nothing() {
        let mut ahead = ReadAhead::default();
        ahead.after_read(&(100..101), false);
        ahead.after_read(&(200..201), false);
        assert_eq!(ahead.after_read(&(101..102), false), 102..103);
        assert_eq!(ahead.after_read(&(201..202), false), 202..203);
        for chunk in [7, 5000, 33, 1, 900, 4] {
            assert!(ahead.after_read(&(chunk..chunk + 1), false).is_empty());
        }
    }
}
