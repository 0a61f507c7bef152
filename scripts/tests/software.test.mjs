// Debian's own software at work in Chromium, unmodified: servers over loopback, debuggers, tools of developers.
import { fileURLToPath } from "node:url";

import { prints, printsAsHere } from "./software.mjs";

const directory = fileURLToPath(new URL("software", import.meta.url));

printsAsHere("bash, perl and coreutils do their jobs", directory, "bash", "scripting.sh");

printsAsHere("gcc's sanitizers find what is wrong with programs", directory, "bash", "sanitizers.sh");

printsAsHere("valgrind finds what is wrong with a program", directory, "bash", "valgrind.sh");

prints("ripgrep finds with many threads what grep does", `
  grep -rc include /usr/include | grep -v ':0$' | sort > expected
  rg -uuu -j 4 -c include /usr/include | sort | cmp - expected && wc -l < expected | grep -c '[0-9][0-9][0-9]'`, "1\n");

prints("restic keeps a directory, and gives it back", `
  export RESTIC_PASSWORD=x RESTIC_REPOSITORY=/tmp/kept
  restic init >/dev/null && restic backup -q /usr/include/linux && restic check -q
  restic restore -q latest --target restored && diff -r /usr/include/linux restored/usr/include/linux && echo same`,
  "same\n");

prints("python's http.server answers curl, by IPv4 and IPv6", `
  mkdir web; echo hello > web/index.html
  python3 -m http.server --directory web --bind :: 8000 >/dev/null 2>&1 &
  until_it curl -s http://127.0.0.1:8000/
  curl -s http://127.0.0.1:8000/ 'http://[::1]:8000/'
  curl -s -o /dev/null -w '%{http_code}\n' http://127.0.0.1:8000/none
  curl -s http://127.0.0.1:8001/; echo "refused $?"
  kill %1`, "hello\nhello\n404\nrefused 7\n");

prints("nginx answers curl", `
  nginx; until_it curl -s http://127.0.0.1/
  head -c 300000 /dev/zero | tr '\\0' x > /var/www/html/large
  curl -s http://127.0.0.1/large | md5sum; md5sum < /var/www/html/large
  curl -sI -r 0-9 http://127.0.0.1/large | head -n 1
  nginx -s quit`, /^([0-9a-f]{32})  -\n\1  -\nHTTP\/1\.1 206 Partial Content\r\n$/);

prints("ssh logs in, runs commands and copies files", `
  cd; mkdir -p /run/sshd .ssh; ssh-keygen -qt ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key
  ssh-keygen -qt ed25519 -N '' -f .ssh/id_ed25519; cp .ssh/id_ed25519.pub .ssh/authorized_keys
  printf 'Host box\\n HostName 127.0.0.1\\n StrictHostKeyChecking no\\n LogLevel ERROR\\n' > .ssh/config
  printf ' ControlMaster auto\\n ControlPath ~/.ssh/shared\\n ControlPersist yes\\n KexAlgorithms curve25519-sha256\\n' >> .ssh/config
  /usr/sbin/sshd -o ListenAddress=127.0.0.1; until_it ssh box true
  echo sent | ssh box 'cat; id -un; tty'; ssh -tt box 'test -t 0 && exit 3' </dev/null; echo "status $?"
  seq 20000 > numbers; scp -q numbers box:copied; cmp numbers copied && echo copied
  mkdir tree; cp numbers tree; rsync -a tree/ box:by-ssh; diff -r tree by-ssh && echo same
  ssh -O exit box 2>&1; kill $(cat /run/sshd.pid)`, "sent\nroot\nnot a tty\nstatus 3\ncopied\nsame\nExit request sent.\r\n");

prints("rsync serves a directory, and takes what has changed", `
  mkdir /srv/m; for i in 1 2 3; do seq 100$i > /srv/m/$i; done
  printf 'address=127.0.0.1\\nuse chroot=no\\npid file=/run/rsyncd.pid\\n[m]\\npath=/srv/m\\nread only=no\\nuid=0\\ngid=0\\n' > /etc/rsyncd.conf
  rsync --daemon; until_it rsync rsync://127.0.0.1/
  rsync rsync://127.0.0.1/ | tr -d ' \\t'; rsync -a rsync://127.0.0.1/m/ copy; diff -r /srv/m copy && echo same
  echo more >> copy/3; rsync -ai copy/ rsync://127.0.0.1/m/; diff -r /srv/m copy && echo same
  kill $(cat /run/rsyncd.pid)`, "m\nsame\n<f.st...... 3\nsame\n");

prints("ping is answered, for root and for others", `
  ping -c 2 -i 0.2 127.0.0.1 | grep -o '.*received'
  su nobody -s /bin/sh -c 'ping -c 1 -s 10000 ::1' | grep -o '.*received'
  ping -c 1 10.1.1.1 2>&1 || true`, "2 packets transmitted, 2 received\n1 packets transmitted, 1 received\n" +
  "ping: connect: Network is unreachable\n");

prints("redis keeps what it is told, and answers thousands at a time", `
  redis-server --port 6399 --save '' >/dev/null 2>&1 &
  until_it redis-cli -p 6399 ping
  redis-cli -p 6399 set greeting hello
  redis-cli -p 6399 append greeting ' world'
  redis-cli -p 6399 get greeting
  redis-benchmark -p 6399 -c 20 -n 3000 -t set,incr -q | tr '\\r' '\\n' | grep -c 'requests per second'
  redis-cli -p 6399 get counter:__rand_int__
  redis-cli -p 6399 shutdown nosave; wait`, "OK\n11\nhello world\n2\n3000\n");

prints("ip and ss tell of loopback", `
  ip -brief address show lo | tr -s ' '
  ip route get 127.0.0.1 | head -n 1 | cut -d ' ' -f 1-4
  python3 -c 'import socket,time; s=socket.create_server(("127.0.0.1",7777)); time.sleep(60)' &
  python3 -c 'import socket,time; s=socket.create_server(("::1",7778),family=socket.AF_INET6); time.sleep(60)' &
  until_it sh -c 'ss -ltn | grep -q :7777 && ss -ltn | grep -q :7778'
  ss -Hltn | awk '{ print $1, $4 }' | sort; ss -H6ltn | awk '{ print $1, $4 }'
  ss -Hltnp 'sport = :7778' | grep -o 'users:(("[a-z0-9]*",pid=[0-9]*,fd=3))' | sed 's/pid=[0-9]*/pid/'
  ss -Htn state established | wc -l; kill %1 %2`, "lo UNKNOWN 127.0.0.1/8 ::1/128 \nlocal 127.0.0.1 dev lo\n" +
  'LISTEN 127.0.0.1:7777\nLISTEN [::1]:7778\nLISTEN [::1]:7778\nusers:(("python3",pid,fd=3))\n0\n');

prints("strace follows children", `
  strace -f -e trace=execve,exit_group -o log sh -c '/bin/echo one; /bin/true'
  grep -c 'execve(.* = 0$' log; grep -c '+++ exited with 0 +++' log
  strace -c -o counts /bin/true; grep -c ' total$' counts`, "one\n3\n3\n1\n");

prints("gdb stops at a breakpoint, shows the stack, and goes on", `
  printf 'int twice(int x) { return x * 2; }\\nint main(void) { return twice(21); }\\n' > a.c
  gcc -g a.c -o a
  gdb -batch -ex 'break twice' -ex run -ex backtrace -ex finish -ex 'info registers eax' -ex continue ./a 2>&1 |
    grep -E '^#|Value returned|^eax|exited'`,
  /^#0 .*twice \(x=21\) at a\.c:1\n#1 .* in main \(\) at a\.c:2\n(.*\n)*Value returned is \$1 = 42\neax +0x2a +42\n.*exited with code 052\]\n$/);

prints("gdb watches variables, and stops when they change", `
  cat > a.c <<'EOF'
struct point { int x; long y; } point;
char text[8];
static void move(int by) { point.x += by; point.y -= by; }
int main(void) {
  int local = 1;
  for (int i = 1; i <= 3; i++) { move(i); local *= 2; }
  text[3] = 'a';
  return point.x + local;
}
EOF
  gcc -g a.c -o a
  gdb -batch -ex 'break 6' -ex run -ex 'watch point.x' -ex c -ex c -ex 'delete 2' -ex 'watch point.y if point.y < -4' -ex c \\
    -ex 'delete 3' -ex 'watch -location text[3]' -ex c -ex 'delete 4' -ex 'watch local' -ex c -ex c ./a 2>&1 |
    grep -oE '^(Old|New) value.*|^Watchpoint . deleted|exited.*'
  gdb -batch -ex 'set can-use-hw-watchpoints 0' -ex 'break main' -ex run -ex 'watch point.x' -ex c ./a 2>&1 |
    grep -E '^(Old|New) value'
  gdb -batch -ex 'break main' -ex run -ex 'rwatch point.x' -ex c ./a 2>&1 | grep -o 'debug register: Invalid argument'`,
  [
    "Old value = 0", "New value = 1", "Old value = 1", "New value = 3", "Old value = -3", "New value = -6",
    "Old value = 0 '\\000'", "New value = 97 'a'",
    "Watchpoint 5 deleted", "exited with code 016]",
    "Old value = 0", "New value = 1", "debug register: Invalid argument", "",
  ].join("\n"));

prints("git clones, commits and merges", `
  export GIT_CONFIG_GLOBAL=/tmp/config
  git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main
  git init -q one; cd one; echo 1 > a; git add a; git commit -qm first; cd ..
  git clone -q one two 2>&1
  cd two; echo 2 > b; git add b; git commit -qm second; cd ../one; echo 3 > c; git add c; git commit -qm third
  git pull -q --no-rebase --no-edit ../two main; git log --oneline | wc -l; git fsck 2>&1; ls`, "4\na\nb\nc\n");

prints("make runs four compilers at a time", `
  for i in 1 2 3 4; do echo "int f$i(void) { return $i; }" > f$i.c; done
  echo 'int f1(void), f2(void), f3(void), f4(void); int main(void) { return f1() + f2() + f3() + f4(); }' > main.c
  printf 'program: main.o f1.o f2.o f3.o f4.o\\n\\tcc -o $@ $^\\n' > Makefile
  make -s -j4 && ./program; echo $?; make -q && echo done`, "10\ndone\n");

prints("sqlite's write-ahead log is shared by processes", `
  sqlite3 t.db 'pragma journal_mode=wal; create table t(a)'
  for i in 1 2 3; do
    (for j in $(seq 10); do sqlite3 -cmd '.timeout 60000' t.db "insert into t values($i)"; done) &
  done
  wait; sqlite3 t.db 'select count(*), sum(a) from t; pragma integrity_check'`, "wal\n30|60\nok\n");

prints("inotifywait sees a file written, moved and removed", `
  mkdir watched
  inotifywait -m -q --format '%e %f' watched > events &
  until_it sh -c 'touch watched/ready; test -s events'
  echo x > watched/a; mv watched/a watched/b; rm watched/b
  until_it grep -q '^DELETE b' events; kill %1
  sed -n '/ a$/p; / b$/p' events`,
  "CREATE a\nOPEN a\nMODIFY a\nCLOSE_WRITE,CLOSE a\nMOVED_FROM a\nMOVED_TO b\nDELETE b\n");

prints("apt-get installs a package from a repository, and removes it", `
  mkdir -p package/DEBIAN package/usr/bin repository
  printf 'Package: greeter\nVersion: 1.2\nArchitecture: all\nMaintainer: A <a@b>\nDescription: greets\n' > package/DEBIAN/control
  printf '#!/bin/sh\necho configured\n' > package/DEBIAN/postinst
  printf '#!/bin/bash\necho hello from a package\n' > package/usr/bin/greeter
  chmod 755 package/DEBIAN/postinst package/usr/bin/greeter
  dpkg-deb --root-owner-group --build package repository/greeter.deb
  (cd repository
   dpkg-deb -f greeter.deb
   printf 'Filename: ./greeter.deb\nSize: %s\n' $(stat -c %s greeter.deb)
   printf 'SHA256: %s\n\n' $(sha256sum greeter.deb | cut -d ' ' -f 1)) > repository/Packages
  echo 'deb [trusted=yes] file:/tmp/repository ./' > /etc/apt/sources.list; rm -f /etc/apt/sources.list.d/*
  apt-get update -q >/dev/null 2>&1; apt-get install -qy greeter 2>/dev/null | grep -E '^(Setting|configured)'
  greeter; dpkg -V greeter; dpkg-query -W -f '\${Status}\n' greeter
  apt-get remove -qy greeter 2>/dev/null | grep Removing; test -e /usr/bin/greeter || echo gone`,
  /^dpkg-deb: building .*\nSetting up greeter \(1\.2\) \.\.\.\r\nconfigured\r\nhello from a package\ninstall ok installed\nRemoving greeter \(1\.2\) \.\.\.\r\ngone\n$/);

prints("su and sudo change users, who are kept from what is not theirs", `
  useradd -m joe; echo 'joe ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/joe
  su joe -c 'id -un; cat /etc/shadow 2>&1; sudo id -un; sudo head -c 4 /etc/shadow; echo; kill -0 1 2>&1 | grep -o permitted'`,
  "joe\ncat: /etc/shadow: Permission denied\nroot\nroot\npermitted\n");

prints("PostgreSQL makes a database, and serves pgbench's clients", `
  cat > postgres.sh <<'EOF'
    export PATH=/usr/lib/postgresql/15/bin:$PATH PGHOST=127.0.0.1
    initdb -D /tmp/db -A trust >/dev/null 2>&1
    pg_ctl -D /tmp/db -o '-c listen_addresses=127.0.0.1' -l /tmp/log -w -t 100 start | tail -n 1
    pgbench -i -q postgres >/dev/null 2>&1
    pgbench -c 4 -j 2 -t 10 postgres 2>/dev/null | grep processed
    psql -At -h /run/postgresql -c 'select count(*) from pgbench_history' postgres
    psql -At -c 'select sum(abalance) = (select sum(tbalance) from pgbench_tellers) from pgbench_accounts' postgres
    pg_ctl -D /tmp/db -m fast -t 100 stop | tail -n 1
EOF
  su postgres -c 'bash /tmp/postgres.sh'`,
  "server started\nnumber of transactions actually processed: 40/40\n40\nt\nserver stopped\n");
