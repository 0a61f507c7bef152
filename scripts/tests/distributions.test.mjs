// Distributions other than Debian 12. Debian 13, made from its packages: its programs print in Chromium what they print on
// this machine's Linux, in a directory with the image's files. And what Ubuntu does otherwise than Debian.
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { TerminalPage, openBrowser } from "../../site/tests/terminal.mjs";
import { inChromium, tool, vm } from "./vm.mjs";

const run = promisify(execFile);
const scripts = fileURLToPath(new URL("trixie", import.meta.url));
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8", HOME: "/root" };

let directory;
let root;

/** Runs a command of the image's on this machine's Linux. Who is not root must be one among their own. */
function here(command) {
  const enter = process.getuid() === 0 ? ["chroot", root] : ["unshare", "--map-root-user", `--root=${root}`];
  const [program, ...args] = [...enter, ...command];
  return spawnSync(program, args, { encoding: "utf8", env: ENVIRONMENT });
}

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "edgebox-distributions-"));
  root = join(directory, "root");
  await mkdir(root);
  const image = join(dirname(process.env.EDGEBOX_RAW_IMAGE), "trixie.ext2");
  await run("debugfs", ["-R", `rdump / "${root}"`, image]);
  await cp(scripts, join(root, "mnt"), { recursive: true });
});
after(() => rm(directory, { recursive: true, force: true }));

for (const [program, file] of [["bash", "userland.sh"], ["python3", "python.py"]]) {
  test(`Debian 13 runs ${file}`, { timeout: 180_000 }, async () => {
    const expected = here([program, `/mnt/${file}`]);
    assert.equal(expected.stderr, "");
    const { status, stdout } = await vm([...inChromium("trixie"), "--bind", `${scripts}:/mnt`], [program, `/mnt/${file}`]);
    assert.equal(stdout, expected.stdout);
    assert.equal(status, 0);
  });
}

test("Debian 13 boots to a prompt", { timeout: 120_000 }, async () => {
  const browser = await openBrowser();
  try {
    const terminal = await TerminalPage.open(browser, new URL("?image=trixie", process.env.EDGEBOX_URL).href);
    await terminal.waitForPrompt();
    assert.equal(await terminal.run("grep -o '(.*)' /etc/os-release | sort -u"), "(trixie)");
  } finally {
    await browser.close();
  }
});

/** What distinguishes Ubuntu's base image from that of the Debian it was made of. */
async function becomeUbuntu() {
  await rm(join(root, "etc/os-release"));
  await writeFile(join(root, "etc/os-release"), 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n');
  await writeFile(join(root, "etc/debian_version"), "trixie/sid\n");
  for (const name of ["bin", "lib", "sbin"]) await mkdir(join(root, `${name}.usr-is-merged`));
  const added = here(["useradd", "--create-home", "--shell", "/bin/bash", "--groups", "adm,sudo", "ubuntu"]);
  assert.equal(added.status, 0, added.stderr);
  await chmod(join(root, "usr/bin/su"), 0o4755);
}

/** A package as Ubuntu's are: compressed with zstd. */
async function writePackage(path) {
  await mkdir(join(path, "DEBIAN"), { recursive: true });
  await mkdir(join(path, "usr/bin"), { recursive: true });
  const fields = { Package: "greeter", Version: "1.2-0ubuntu1", Architecture: "all", Maintainer: "A <a@b>", Description: "greets" };
  await writeFile(join(path, "DEBIAN/control"), Object.entries(fields).map(([name, text]) => `${name}: ${text}\n`).join(""));
  await writeFile(join(path, "usr/bin/greeter"), "#!/bin/sh\necho \"hello from $ID\"\n");
  await chmod(join(path, "usr/bin/greeter"), 0o755);
}

test("a base like Ubuntu's, supplied as a tar file, builds and boots", { timeout: 180_000 }, async () => {
  await becomeUbuntu();
  await run("tar", ["--create", "--use-compress-program=gzip -1", "--file=base.tar.gz", `--directory=${root}`, "."], { cwd: directory });
  const context = join(directory, "context");
  await writePackage(join(context, "greeter"));
  // Not the real name: what is tested here must not be taken for Ubuntu later.
  const base = "edgebox-test-ubuntu:24.04";
  await writeFile(join(context, "ubuntu-like.Dockerfile"), `FROM ${base}
COPY greeter /tmp/greeter
RUN dpkg-deb --root-owner-group -Zzstd --build /tmp/greeter /tmp/greeter.deb && dpkg -i /tmp/greeter.deb && rm -r /tmp/greeter*
USER ubuntu
WORKDIR /home/ubuntu
CMD ["/bin/bash"]
`);
  const edgebox = ["--build-dir", "build"];
  await run(tool, [...edgebox, "image", "context/ubuntu-like.Dockerfile", "--base", `${base}=base.tar.gz`, "--quality", "0", "--no-profile"], { cwd: directory });
  const script = `. /etc/os-release; export ID; echo $ID $VERSION_ID; id; pwd; greeter
    dpkg-query -W -f '\${Version} \${Status}\\n' greeter; dpkg --verify greeter; readlink /bin /lib /sbin; ls -d /*.usr-is-merged
    stat -c '%A %U' /usr/bin/su; apt-get --version | head -n 1; exit 3\n`;
  const outcome = run(tool, [...edgebox, "vm", "--image", "ubuntu-like"], { cwd: directory });
  outcome.child.stdin.end(script);
  const { code, stdout } = await outcome.catch((error) => error);
  const groups = "uid=1000(ubuntu) gid=1000(ubuntu) groups=1000(ubuntu),4(adm),27(sudo)";
  assert.equal(stdout, `ubuntu 24.04\n${groups}\n/home/ubuntu\nhello from ubuntu
1.2-0ubuntu1 install ok installed\nusr/bin\nusr/lib\nusr/sbin\n/bin.usr-is-merged\n/lib.usr-is-merged\n/sbin.usr-is-merged
-rwsr-xr-x root\n${here(["apt-get", "--version"]).stdout.split("\n")[0]}\n`);
  assert.equal(code, 3);
});
