//! What can be seen without a second side.

use super::*;

/// Types; what is shown, and signals.
fn type_in(discipline: &mut Discipline, bytes: &[u8]) -> (Vec<u8>, Vec<u32>) {
    let (mut arriving, mut effects) = (Arriving::default(), Effects::on(1000));
    arriving.add(bytes);
    discipline.receive(&mut arriving, &mut effects);
    (effects.shown, effects.signals)
}

fn set(discipline: &mut Discipline, iflag: u32, lflag: u32) {
    let termios = Termios { iflag, lflag, ..Termios::default() };
    discipline.set_termios(termios, &mut Effects::on(1000));
}

fn read_line(discipline: &mut Discipline) -> Vec<u8> {
    let mut to = [0; 100];
    let len = discipline.read(&mut to);
    to[..len].to_vec()
}

#[test]
fn lines_are_edited_and_echoed() {
    let mut tty = Discipline::default();
    let termios = *tty.termios();
    set(&mut tty, termios.iflag | IUTF8, termios.lflag);
    let (shown, _) = type_in(&mut tty, "aé\x7fb x\x17c\r".as_bytes());
    assert_eq!(shown, "aé\x08 \x08b x\x08 \x08c\r\n".as_bytes());
    assert_eq!(read_line(&mut tty), b"ab c\n");
    assert!(!tty.is_readable());
}

#[test]
fn end_of_file_is_an_empty_line() {
    let mut tty = Discipline::default();
    type_in(&mut tty, b"ab\x04\x04");
    assert_eq!(read_line(&mut tty), b"ab");
    assert!(tty.is_readable());
    assert_eq!(read_line(&mut tty), b"");
    assert!(!tty.is_readable());
}

#[test]
fn interrupt_flushes_and_signals() {
    let mut tty = Discipline::default();
    type_in(&mut tty, b"abc");
    assert_eq!(type_in(&mut tty, b"\x03"), (b"^C".to_vec(), vec![abi::signal::SIGINT]));
    type_in(&mut tty, b"\n");
    assert_eq!(read_line(&mut tty), b"\n");
}

#[test]
fn literal_next_takes_anything() {
    let mut tty = Discipline::default();
    type_in(&mut tty, b"a\x16\x03\n");
    assert_eq!(read_line(&mut tty), b"a\x03\n");
}

#[test]
fn raw_mode_passes_everything_on() {
    let mut tty = Discipline::default();
    type_in(&mut tty, b"typed");
    set(&mut tty, 0, 0);
    assert_eq!(type_in(&mut tty, b"\x03\r").0, b"");
    assert_eq!(read_line(&mut tty), b"typed\x03\r");
}

#[test]
fn erasing_a_tab_goes_back_to_where_it_began() {
    let mut tty = Discipline::default();
    tty.output(b"$ ", &mut Effects::on(1000));
    let (shown, _) = type_in(&mut tty, b"a\t\x7f");
    assert_eq!(shown, [b"a\t".to_vec(), b"\x08".repeat(5)].concat());
}

#[test]
fn nothing_typed_takes_memory_without_bound() {
    let mut tty = Discipline::default();
    type_in(&mut tty, b"\x13");
    set(&mut tty, PARMRK | IXON, ICANON | ECHO | ECHOCTL | IEXTEN);
    for _ in 0..100 {
        type_in(&mut tty, &[0xff; 1000]);
        type_in(&mut tty, b"\x12");
    }
    assert!(tty.input.len() <= 4096 && tty.echo.size() <= 2 * 4096);
}
