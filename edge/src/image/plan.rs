//! `Plan`: from ranges to status, headers and what the body consists of (RFC 9110, sections 14.4 and 14.6).

use std::ops::Range;

use crate::answer::Answer;
use crate::range::Selection;

/// What an image is to those who know nothing of file systems.
const CONTENT_TYPE: &str = "application/octet-stream";

/// Part of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Segment {
    /// What separates parts from each other.
    Text(String),
    /// Bytes of the image.
    Image(Range<u64>),
}

impl Segment {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Segment::Text(text) => text.len() as u64,
            Segment::Image(range) => range.end - range.start,
        }
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a selection is answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    status: u16,
    content_type: String,
    content_range: Option<String>,
    /// What the body consists of.
    pub segments: Vec<Segment>,
}

impl Plan {
    /// Plans the answer to what is selected of an image of `size` bytes. `boundary` is a text that the image does not
    /// have inside, such as the digest of all of it.
    ///
    /// # Panics
    /// If nothing is selected.
    #[must_use]
    pub fn new(selection: &Selection, size: u64, boundary: &str) -> Self {
        let content_type = CONTENT_TYPE.to_owned();
        match selection {
            Selection::Whole => {
                Plan { status: 200, content_type, content_range: None, segments: vec![Segment::Image(0..size)] }
            }
            Selection::Ranges(ranges) => match ranges.as_slice() {
                [range] => {
                    let content_range = Some(content_range(range, size));
                    Plan { status: 206, content_type, content_range, segments: vec![Segment::Image(range.clone())] }
                }
                ranges => Self::multipart(ranges, size, boundary),
            },
            Selection::Unsatisfiable => unreachable!("refused before it is planned"),
        }
    }

    fn multipart(ranges: &[Range<u64>], size: u64, boundary: &str) -> Self {
        let part = |range: &Range<u64>| {
            let content_range = content_range(range, size);
            let head =
                format!("\r\n--{boundary}\r\ncontent-type: {CONTENT_TYPE}\r\ncontent-range: {content_range}\r\n\r\n");
            [Segment::Text(head), Segment::Image(range.clone())]
        };
        let mut segments: Vec<Segment> = ranges.iter().flat_map(part).collect();
        segments.push(Segment::Text(format!("\r\n--{boundary}--\r\n")));
        let content_type = format!("multipart/byteranges; boundary={boundary}");
        Plan { status: 206, content_type, content_range: None, segments }
    }

    /// The body's length in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        // Of 40 parts at most, which come to no more than the image: this can't overflow.
        self.segments.iter().map(Segment::len).sum()
    }

    /// Gives an answer its status and the headers of its body.
    pub fn add_to(&self, answer: &mut Answer) {
        answer.status = self.status;
        answer.add("content-type", &self.content_type);
        answer.add("content-length", &self.length().to_string());
        if let Some(content_range) = &self.content_range {
            answer.add("content-range", content_range);
        }
    }
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(plan: &Plan) -> String {
        let mut answer = Answer::new(0);
        plan.add_to(&mut answer);
        let headers = answer.headers.iter().map(|(name, value)| format!("\n{name}: {value}"));
        format!("{}{}", answer.status, headers.collect::<String>())
    }

    #[test]
    fn all_of_it() {
        let plan = Plan::new(&Selection::Whole, 1 << 40, "b");
        assert_eq!(head(&plan), "200\ncontent-type: application/octet-stream\ncontent-length: 1099511627776");
        assert_eq!(plan.segments, [Segment::Image(0..1 << 40)]);
    }

    #[test]
    fn one_range() {
        let range = 5..10;
        let plan = Plan::new(&Selection::Ranges([range].into()), 100, "b");
        let type_and_length = "content-type: application/octet-stream\ncontent-length: 5";
        assert_eq!(head(&plan), format!("206\n{type_and_length}\ncontent-range: bytes 5-9/100"));
    }

    #[test]
    fn several_ranges() {
        let plan = Plan::new(&Selection::Ranges(vec![5..10, 0..1]), 100, "b");
        let text: String = plan
            .segments
            .iter()
            .map(|segment| match segment {
                Segment::Text(text) => text.clone(),
                Segment::Image(range) => "x".repeat((range.end - range.start) as usize),
            })
            .collect();
        let expected = "\r\n--b\r\ncontent-type: application/octet-stream\r\ncontent-range: bytes 5-9/100\r\n\r\nxxxxx\
                        \r\n--b\r\ncontent-type: application/octet-stream\r\ncontent-range: bytes 0-0/100\r\n\r\nx\
                        \r\n--b--\r\n";
        assert_eq!(text, expected);
        assert_eq!(plan.length(), expected.len() as u64);
        assert!(head(&plan).starts_with("206\ncontent-type: multipart/byteranges; boundary=b\n"));
    }
}
