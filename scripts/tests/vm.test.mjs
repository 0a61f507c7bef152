// `edgebox vm`: the same commands natively and in Chromium, as a shell or a CI job would run them.
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as declare } from "node:test";
import { promisify } from "node:util";

import { tool, vm } from "./vm.mjs";

/** A test that hangs is a failed one. */
const test = (name, body) => declare(name, { timeout: 120_000 }, body);

for (const host of ["native", "chromium"]) {
  const options = ["--host", host];

  test(`${host}: streams and exit status pass through`, async () => {
    const script = "tr a-z A-Z; echo problem >&2; exit 7";
    const outcome = await vm(options, ["/bin/sh", "-c", script], { stdin: "from outside\n" });
    assert.deepEqual(outcome, { status: 7, stdout: "FROM OUTSIDE\n", stderr: "problem\n" });
  });

  test(`${host}: environment, working directory, user`, async () => {
    const settings = ["--env", "COLOUR=é漢🙂", "--cwd", "/usr/share", "--user", "root"];
    const outcome = await vm([...options, ...settings], ["sh", "-c", "echo $COLOUR; pwd; id -un; echo $HOME"]);
    assert.deepEqual(outcome, { status: 0, stdout: "é漢🙂\n/usr/share\nroot\n/root\n", stderr: "" });
  });

  test(`${host}: a signal ends a program with its status`, async () => {
    const outcome = await vm(options, ["sh", "-c", "echo ready; while :; do sleep 1; done"], {
      signal: "SIGTERM", whenSeen: "ready",
    });
    assert.equal(outcome.status, 128 + 15);
  });

  test(`${host}: a program that dereferences NULL`, async () => {
    const outcome = await vm(options, ["python3", "-c", "import ctypes; ctypes.string_at(0)"]);
    assert.equal(outcome.status, 128 + 11);
  });

  test(`${host}: a compiler and what it makes, from a directory of the host`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "edgebox-bind-"));
    try {
      const source = '#include <math.h>\n#include <stdio.h>\nint main(void){printf("%.15Lf %g\\n", 2.0L/3, sqrt(2.0));}\n';
      await writeFile(join(directory, "program.c"), source);
      const script = "gcc -O1 /src/program.c -o /tmp/program -lm && /tmp/program";
      const outcome = await vm([...options, "--bind", `${directory}:/src`, "--user", "root"], ["sh", "-c", script]);
      assert.deepEqual(outcome, { status: 0, stdout: "0.666666666666667 1.41421\n", stderr: "" });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test(`${host}: more output than pipes hold, byte for byte`, async () => {
    const outcome = await vm(options, ["sh", "-c", "yes | head -c 3000000; cat /usr/bin/python3 > /dev/null; echo end"]);
    assert.deepEqual({ ...outcome, stdout: outcome.stdout.length }, { status: 0, stdout: 3_000_004, stderr: "" });
    assert.equal(outcome.stdout, `${"y\n".repeat(1_500_000)}end\n`);
  });

  test(`${host}: output that nobody reads any more ends it`, async () => {
    const outcome = await vm(options, ["yes"], { readsOnce: true });
    assert.deepEqual({ status: outcome.status, stderr: outcome.stderr }, { status: 128 + 13, stderr: "" });
  });

  test(`${host}: a terminal is the guest's terminal`, async () => {
    const script = 'trap "echo caught; exit 6" INT; tty; stty size; sleep 100';
    const command = `stty rows 31 columns 97; exec ${tool} vm --host ${host} -- sh -c '${script}' 2>/dev/null`;
    // util-linux's `script` gives a command a terminal of its own.
    const child = spawn("script", ["--quiet", "--return", "--command", command, "/dev/null"]);
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      output += text;
      if (text.includes("31 97")) child.stdin.write("\x03");
    });
    const status = await new Promise((resolve) => { child.on("close", resolve); });
    assert.deepEqual({ status, output }, { status: 6, output: "/dev/tty1\r\n31 97\r\n^Ccaught\r\n" });
  });

  test(`${host}: a command that does not exist`, async () => {
    const outcome = await vm(options, ["/no/such/program"]);
    assert.equal(outcome.status, 127);
    assert.match(outcome.stderr, /\/no\/such\/program/);
  });

  test(`${host}: what the guest writes into a bound directory is there, and what it removes is gone`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "edgebox-bind-"));
    try {
      await writeFile(join(directory, "old"), "to be removed\n");
      const script = "rm /work/old; mkdir -p /work/sub; echo written > /work/sub/file";
      const outcome = await vm([...options, "--bind", `${directory}:/work`, "--user", "root"], ["sh", "-c", script]);
      assert.deepEqual(outcome, { status: 0, stdout: "", stderr: "" });
      assert.equal(await readFile(join(directory, "sub/file"), "utf8"), "written\n");
      await assert.rejects(readFile(join(directory, "old")), { code: "ENOENT" });
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  test(`${host}: output may go to a file in a bound directory`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "edgebox-bind-"));
    try {
      const command = `exec ${tool} vm --host ${host} --bind ${directory}:/work -- echo written > ${directory}/output`;
      await promisify(execFile)("sh", ["-c", command]);
      assert.equal(await readFile(join(directory, "output"), "utf8"), "written\n");
    } finally {
      await rm(directory, { recursive: true });
    }
  });
}

test("whoever takes all memory is killed, and the others go on", async () => {
  const pipes = "import fcntl, os\nwhile True: r, w = os.pipe(); fcntl.fcntl(w, 1031, 1 << 20); os.write(w, bytes(1 << 20))";
  const script = `ulimit -n 8000; tail /dev/zero; echo $?; python3 -c '${pipes}'; echo $?; dmesg -t | grep -c 'Out of memory'`;
  const { status, stdout } = await vm(["--host", "chromium", "--user", "root"], ["bash", "-c", script]);
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "137\n137\n2\n" });
});

// Chromium gives a tab about 124.
test("there may be more processes than the browser has memories, and a thousand threads", async () => {
  const processes = `
    for my $i (0..249) {
      pipe(my $asked, my $ask); pipe(my $answer, my $answered);
      my $pid = fork() // die "$i: $!";
      if (!$pid) { my $own = "x" x $i; close $ask; sysread($asked, my $byte, 1); syswrite($answered, length $own); exit }
      close $asked; close $answered; push @children, [$pid, $ask, $answer];
    }
    for my $round (0, 1) { for (@children) { my ($pid, $ask, $answer) = @$_;
      if ($round == 0) { syswrite($ask, "?"); sysread($answer, my $length, 9); $sum += $length }
      else { waitpid $pid, 0; $bad += $? } } }
    print "$sum $bad\n"`;
  const threads = `
import threading
barrier = threading.Barrier(1001)
for _ in range(1000): threading.Thread(target=barrier.wait).start()
barrier.wait()
print("all of", barrier.parties)`;
  const script = 'perl -e "$1" && python3 -c "$2"';
  const { status, stdout } = await vm(["--host", "chromium"], ["bash", "-c", script, "sh", processes, threads]);
  assert.deepEqual({ status, stdout }, { status: 0, stdout: "31125 0\nall of 1001\n" });
});

for (const host of ["native", "chromium"]) {
  test(`${host}: a directory as the root file system`, async () => {
    const root = await mkdtemp(join(tmpdir(), "edgebox-root-"));
    try {
      const program = "#include <stdio.h>\nint main(void) { puts(\"from a directory\"); return 42; }\n";
      await writeFile(join(root, "program.c"), program);
      await promisify(execFile)("gcc", ["-static", "-o", join(root, "program"), join(root, "program.c")]);
      const { status, stdout } = await vm(["--host", host, "--root", root], ["/program"]);
      assert.deepEqual({ status, stdout }, { status: 42, stdout: "from a directory\n" });
    } finally {
      await rm(root, { recursive: true });
    }
  });
}
