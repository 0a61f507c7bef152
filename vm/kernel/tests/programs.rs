//! Programs of this computer, run in the machine.

mod machine;

use kernel::ExitStatus;
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
    machine.kernel.set_memory_limit(64 << 20);
    let finished = machine.run(&["bash", "-c", "tail /dev/zero; echo $?; echo still here"], b"");
    assert_eq!(finished.stdout, "137\nstill here\n", "{finished:?}");
    assert!(machine.recorded.borrow().log.iter().any(|line| line.contains("(tail)")));
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
