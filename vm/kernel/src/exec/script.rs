//! Scripts: files that start with `#!` and the path of their interpreter.

use std::rc::Rc;

use abi::Errno;

use super::{Arguments, HEAD_BYTES, head_of};
use crate::kernel::Kernel;
use crate::stop::Outcome;
use crate::task::Task;
use crate::vfs::Location;

/// Interpreters that may themselves be scripts (`BINPRM_MAX_RECURSION` and one).
const SCRIPTS_MAX: usize = 5;

/// The interpreter's path and its one optional argument.
type Interpreter = (Vec<u8>, Option<Vec<u8>>);

impl Kernel {
    /// Follows `#!` lines to an executable; arguments grow by what they say.
    pub(super) fn resolve_scripts(
        &mut self,
        task: &Rc<Task>,
        path: &[u8],
        file: Location,
        arguments: Arguments,
    ) -> Outcome<(Location, Arguments)> {
        let (mut file, mut arguments, mut path) = (file, arguments, path.to_vec());
        for _ in 0..SCRIPTS_MAX {
            let Some((interpreter, option)) = parse(&head_of(&file)?)? else { return Ok((file, arguments)) };
            let mut args = vec![interpreter.clone()];
            args.extend(option);
            args.push(path);
            args.extend(arguments.args.into_iter().skip(1));
            arguments.args = args;
            file = self.open_interpreter(task, &interpreter)?;
            path = interpreter;
        }
        Err(Errno::ELOOP.into())
    }
}

/// Reads a `#!` line; `None` if there is none.
fn parse(head: &[u8; HEAD_BYTES]) -> Result<Option<Interpreter>, Errno> {
    let Some(line) = head.strip_prefix(b"#!") else { return Ok(None) };
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let end = line.iter().position(|byte| matches!(byte, b'\n' | 0));
    let line = line[..end.unwrap_or(line.len())].trim_ascii();
    let (path, option) = match line.iter().position(is_blank) {
        Some(space) => (&line[..space], line[space..].trim_ascii()),
        // A path that is cut off must not lead to another program.
        None if end.is_none() => return Err(Errno::ENOEXEC),
        None => (line, &b""[..]),
    };
    if path.is_empty() {
        return Err(Errno::ENOEXEC);
    }
    Ok(Some((path.to_vec(), (!option.is_empty()).then(|| option.to_vec()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_text(text: &[u8]) -> Result<Option<Interpreter>, Errno> {
        let mut head = [0; HEAD_BYTES];
        head[..text.len()].copy_from_slice(text);
        parse(&head)
    }

    #[test]
    fn everything_after_the_path_is_one_argument() {
        let parsed = parse_text(b"#! /usr/bin/env  -S python3 -u \nprint()").unwrap().unwrap();
        assert_eq!(parsed, (b"/usr/bin/env".to_vec(), Some(b"-S python3 -u".to_vec())));
        assert_eq!(parse_text(b"#!/bin/sh").unwrap().unwrap(), (b"/bin/sh".to_vec(), None));
        assert_eq!(parse_text(b"\x7fELF").unwrap(), None);
        assert_eq!(parse_text(b"#!  \n"), Err(Errno::ENOEXEC));
        assert_eq!(parse_text(&[b"#!/".as_slice(), &[b'a'; HEAD_BYTES - 3]].concat()), Err(Errno::ENOEXEC));
    }
}
