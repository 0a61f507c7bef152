//! Programs of this computer, run in the machine.

mod machine;

use kernel::{ExitStatus, Slice, Stdio};
use machine::Machine;

fn install(machine: &mut Machine, program: &str) {
    machine.install(program, &format!("/bin/{}", program.rsplit('/').next().unwrap()));
}

#[test]
fn true_and_echo() {
    let mut machine = Machine::new();
    install(&mut machine, "/bin/true");
    install(&mut machine, "/bin/echo");
    let finished = machine.run(&["true"], b"");
    assert_eq!(finished.status, ExitStatus::Code(0), "{finished:?}");
    let finished = machine.run(&["echo", "hello", "world"], b"");
    assert_eq!(finished.stdout, "hello world\n");
}

#[test]
fn the_biggest_process_is_killed_when_memory_runs_out() {
    let mut machine = Machine::new();
    install(&mut machine, "/bin/bash");
    install(&mut machine, "/usr/bin/tail");
    install(&mut machine, "/bin/dmesg");
    machine.kernel.set_memory_limit(64 << 20);
    let finished = machine.run(&["bash", "-c", "tail /dev/zero; echo $?; dmesg -S -t"], b"");
    let (before, after) = finished.stdout.split_once("Out of memory: Killed process ").unwrap();
    assert!(before.starts_with("137\n"), "{finished:?}");
    let words: Vec<&str> = after.split([' ', ':', '\n']).filter(|word| !word.is_empty()).collect();
    assert_eq!(words[1], "(tail)");
    let names: Vec<&str> = words[2..].iter().copied().step_by(2).collect();
    assert_eq!(names, ["total-vm", "anon-rss", "file-rss", "shmem-rss", "UID", "pgtables", "oom_score_adj"]);
    assert!(machine.recorded.borrow().log.iter().any(|line| line.contains("(tail)")));
}

#[test]
fn there_is_a_limit_to_all_open_files() {
    let mut machine = Machine::new();
    install(&mut machine, "/bin/bash");
    let script = "read -r open _ max < /proc/sys/fs/file-nr; read -r same < /proc/sys/fs/file-max
        echo $((open > 0)) $((max == same))
        echo $((open + 5)) > /proc/sys/fs/file-max
        (for fd in {20..40}; do eval \"exec $fd< /dev/null\" || exit; done; echo not reached)
        echo many > /proc/sys/fs/file-max
        read -r after _ max < /proc/sys/fs/file-nr; echo $((after - open)) $((max - open))
        echo 1000000000 > /proc/sys/fs/file-max; read -r last < /proc/sys/fs/file-max; echo $((last == same))";
    let finished = machine.run(&["bash", "-c", script], b"");
    assert_eq!(finished.stdout, "1 1\n0 5\n1\n", "{finished:?}");
    assert!(finished.stderr.contains("Too many open files in system"), "{finished:?}");
}

#[test]
fn a_shell_with_pipelines() {
    let mut machine = Machine::new();
    for program in ["/bin/bash", "/bin/cat", "/usr/bin/sort", "/usr/bin/wc", "/bin/ls", "/usr/bin/seq", "/usr/bin/tr"] {
        install(&mut machine, program);
    }
    let script = "seq 5 | sort -r | tr '\\n' ' ' | cat; echo; (exit 7); echo $?; ls / | wc -l; kill -9 $$";
    let finished = machine.run(&["bash", "-c", script], b"");
    assert_eq!(finished.stdout, "5 4 3 2 1 \n7\n10\n", "{finished:?}");
    assert_eq!(finished.status, ExitStatus::Signal { signal: 9, core: false });
}

#[test]
fn programs_wait_for_a_console_that_is_full() {
    let mut machine = Machine::new();
    install(&mut machine, "/usr/bin/seq");
    machine.recorded.borrow_mut().console_bytes_max = Some(1000);
    let pid = machine.spawn(&["seq", "1000"], Stdio::Console);
    while !matches!(machine.kernel.run_slice(&mut *machine.engine, 5_000_000), Slice::Idle { wake_at_ns: None }) {}
    let shown = machine.recorded.borrow().console.len();
    assert!(shown > 900 && shown <= 1000, "{shown} bytes");

    // What is typed is echoed all the same.
    machine.kernel.console_input(b"x");
    assert_eq!(machine.recorded.borrow_mut().console.split_off(shown), b"x");

    machine.recorded.borrow_mut().console_bytes_max = None;
    machine.kernel.console_drained();
    assert_eq!(machine.run_until_exit(pid, 60).status, ExitStatus::Code(0));
    let expected: String = (1..=1000).map(|number| format!("{number}\r\n")).collect();
    assert_eq!(String::from_utf8_lossy(&machine.recorded.borrow().console), expected);
}

#[test]
fn the_console_is_hung_up_when_its_session_ends() {
    let mut machine = Machine::new();
    install(&mut machine, "/bin/bash");
    install(&mut machine, "/bin/sleep");
    let late = "trap '' HUP; (sleep 0.1; echo late; echo $? > /tmp/status) & echo first";
    let pid = machine.spawn(&["bash", "-c", late], Stdio::Console);
    machine.run_until_exit(pid, 60);
    while machine.kernel.run_slice(&mut *machine.engine, 5_000_000) != Slice::AllExited {}
    assert_eq!(machine.kernel.get_file(b"/tmp/status").unwrap(), b"1\n");
    // The next one has it as before.
    let pid = machine.spawn(&["bash", "-c", "echo second > /dev/tty"], Stdio::Console);
    machine.run_until_exit(pid, 60);
    let shown = String::from_utf8_lossy(&machine.recorded.borrow().console).into_owned();
    assert!(shown.starts_with("first\r\n") && shown.ends_with("second\r\n") && !shown.contains("late"), "{shown}");
}

/// On this computer that would take its own console, so there is nothing to compare with.
#[test]
fn a_terminal_takes_the_consoles_output() {
    let mut machine = Machine::new();
    install(&mut machine, "/usr/bin/perl");
    let script = r#"
        sub number { my $n = pack "i", 0; ioctl $_[0], $_[1], $n or die $!; unpack "i", $n }
        sub say_to { my $n = syswrite $_[0], $_[1]; print STDOUT $n ? "" : "$!\n" }
        $| = 1;
        $SIG{HUP} = 'IGNORE';
        open $master, "+<", "/dev/ptmx"; number($master, 0x40045431);
        open $slave, "+<", "/dev/pts/" . number($master, 0x80045430);
        open $console, "+<", "/dev/console";
        print ioctl($master, 0x541d, 0) ? "?" : "$!\n";
        say_to($console, "before ");
        ioctl($slave, 0x541d, 0) or die $!;
        print ioctl($slave, 0x541d, 0) ? "?" : "$!\n";
        say_to($console, "taken\n");
        sysread $master, $taken, 100; print $taken;
        ioctl($console, 0x541d, 0) or die $!;
        say_to($console, "after ");
        ioctl($slave, 0x541d, 0) or die $!;
        close $master;
        say_to($console, "hung up");"#;
    let finished = machine.run(&["perl", "-e", script], b"");
    assert_eq!(finished.stdout, "Invalid argument\nDevice or resource busy\ntaken\r\n", "{finished:?}");
    assert_eq!(machine.recorded.borrow().console, b"before after hung up", "{finished:?}");
}
