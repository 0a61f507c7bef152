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
    let finished = machine.run(&["bash", "-c", "tail /dev/zero; echo $?; dmesg -t"], b"");
    let (before, after) = finished.stdout.split_once("Out of memory: Killed process ").unwrap();
    assert!(before.starts_with("137\n"), "{finished:?}");
    let words: Vec<&str> = after.split([' ', ':', '\n']).filter(|word| !word.is_empty()).collect();
    assert_eq!(words[1], "(tail)");
    let names: Vec<&str> = words[2..].iter().copied().step_by(2).collect();
    assert_eq!(names, ["total-vm", "anon-rss", "file-rss", "shmem-rss", "UID", "pgtables", "oom_score_adj"]);
    assert!(machine.recorded.borrow().log.iter().any(|line| line.contains("(tail)")));
}

#[test]
fn the_kernel_log_and_programs_that_read_it() {
    let mut machine = Machine::new();
    for program in ["/bin/bash", "/bin/dmesg", "/bin/cat", "/usr/bin/head", "/usr/bin/tail", "/usr/bin/grep"] {
        install(&mut machine, program);
    }
    let script = "
        dmesg -t | head -1; dmesg -St | head -1; echo 'a line' > /dev/kmsg; dmesg -x -t | tail -1
        dmesg -C; echo '<3>after' > /dev/kmsg; dmesg -t; dmesg -c -t; dmesg; dmesg -S; line=$(head -n 1 /dev/kmsg); echo \"${line#*;}\"
        cat /proc/sys/kernel/printk; dmesg -n 2; echo hidden > /dev/kmsg; dmesg -D; cat /proc/sys/kernel/printk
        dmesg -E; cat /proc/sys/kernel/printk
        exec 3< /dev/kmsg 4> /dev/kmsg; for number in {1..12}; do echo \"limited $number\" >&4; done; exec 4>&-
        dmesg -t | grep limited -c; dmesg -t | tail -1
        echo on > /proc/sys/kernel/printk_devkmsg; exec 4> /dev/kmsg
        for number in {1..4200}; do echo \"<15>much $number\"; done >&4
        read -r -u 3 line; echo $?; read -r -u 3 line; echo \"${line#*;}\"; line=$(head -n 1 /proc/kmsg); echo \"${line##*] }\"";
    let finished = machine.run(&["bash", "-c", script], b"");
    let version = "Linux version 6.1.0-edgebox (edgebox) #1 SMP PREEMPT edgebox\n";
    let expected = [
        &[version, version, "user  :warn  : a line\nafter\nafter\n", version].concat(),
        "5\t4\t1\t7\n1\t4\t1\t7\n2\t4\t1\t7\n",
        "10\nbash: 2 output lines suppressed due to ratelimiting\n1\nmuch 105\nmuch 105\n",
    ];
    assert_eq!(finished.stdout, expected.concat(), "{finished:?}");
    let log = machine.recorded.borrow().log.join("\n");
    assert_eq!(log, "a line\nafter");
}

#[test]
fn dmesg_waits_for_messages() {
    let mut machine = Machine::new();
    for program in ["/bin/bash", "/bin/dmesg", "/usr/bin/grep"] {
        install(&mut machine, program);
    }
    let script = "
        dmesg -w -t > /tmp/log & waits=$!
        for number in 1 2 3; do
            echo \"line $number\" > /dev/kmsg
            until grep -q \"line $number\" /tmp/log; do :; done
        done
        kill $waits; grep line /tmp/log";
    let finished = machine.run(&["bash", "-c", script], b"");
    assert_eq!(finished.stdout, "Command line: edgebox\nline 1\nline 2\nline 3\n", "{finished:?}");
}

#[test]
fn whoever_says_that_it_is_spare_is_killed_first() {
    let mut machine = Machine::new();
    for program in ["/bin/bash", "/usr/bin/tail", "/usr/bin/sleep", "/bin/cat"] {
        install(&mut machine, program);
    }
    machine.kernel.set_memory_limit(64 << 20);
    let script = "
        (echo 1000 > /proc/self/oom_score_adj; exec sleep 1000) & spare=$!
        until [ \"$(cat /proc/$spare/oom_score)\" -gt 1300 ]; do :; done
        (echo -1000 > /proc/$BASHPID/oom_score_adj; cat /proc/$BASHPID/oom_score)
        tail /dev/zero; echo $?
        wait $spare; echo $?";
    let finished = machine.run(&["bash", "-c", script], b"");
    assert_eq!(finished.stdout, "0\n137\n137\n", "{finished:?}");
    let log = machine.recorded.borrow().log.join("\n");
    let killed: Vec<_> =
        log.split("Killed process ").skip(1).map(|rest| rest.split(['(', ')']).nth(1).unwrap()).collect();
    assert_eq!(killed, ["sleep", "tail"], "{log}");
}

#[test]
fn only_the_privileged_make_a_process_safer_from_being_killed() {
    let mut machine = Machine::new();
    for program in ["/bin/bash", "/usr/bin/setpriv", "/bin/cat"] {
        install(&mut machine, program);
    }
    let script = "as_user() { setpriv --reuid 1000 --clear-groups \"$@\"; }
        echo -500 > /proc/$$/oom_score_adj
        as_user bash -c 'echo 5 > /proc/$$/oom_score_adj; echo -500 > /proc/$$/oom_score_adj; cat /proc/$$/oom_score_adj'
        as_user bash -c 'echo -501 > /proc/$$/oom_score_adj' || echo refused
        as_user --inh-caps +sys_resource --ambient-caps +sys_resource bash -c 'echo -501 > /proc/$$/oom_score_adj && echo granted'";
    let finished = machine.run(&["bash", "-c", script], b"");
    assert_eq!(finished.stdout, "-500\nrefused\ngranted\n", "{finished:?}");
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
    assert_eq!(finished.stdout, "5 4 3 2 1 \n7\n9\n", "{finished:?}");
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
