# Puts a disk to work in every way that programs do, run in the guest by disk.test.mjs.
set -eu
mkdir /work; cd /work

# A repository with history, packed, and its copy.
export GIT_CONFIG_GLOBAL=/tmp/config
git config --global user.email a@b; git config --global user.name n; git config --global init.defaultBranch main
git init -q one
for i in $(seq 12); do
  mkdir -p "one/d$i"; seq "$((i * 300))" > "one/d$i/text"; cp one/d1/text "one/common$((i % 3))"
  git -C one add .; git -C one commit -qm "change $i"
done
git clone -q one two
git -C two checkout -q HEAD~5; git -C two checkout -q main
git -C one gc -q --aggressive --prune=now
git -C one fsck --strict

# Compilers side by side.
mkdir build
for i in $(seq 8); do echo "int f$i(void) { return $i; }" > "build/f$i.c"; done
printf 'lib.a: f1.o f2.o f3.o f4.o f5.o f6.o f7.o f8.o\n\tar rcs $@ $^\n' > build/Makefile
make -s -C build -j4

# A package comes, is replaced by a newer one, and goes; another stays.
for name in stays goes; do
  for version in 1 2; do
    mkdir -p package/DEBIAN package/usr/share/$name
    printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: A <a@b>\nDescription: x\n' $name $version \
      > package/DEBIAN/control
    for i in $(seq 60); do seq "$((i * version))" > "package/usr/share/$name/file$i.$((i % version))"; done
    dpkg-deb --root-owner-group --build package $name$version.deb >/dev/null
    rm -r package
    dpkg --install $name$version.deb >/dev/null
  done
done
dpkg --purge goes >/dev/null

# A database, whose journal comes and goes, and one with a log, left open.
sqlite3 a.db 'create table t(a, b); with recursive n(i) as (select 1 union all select i+1 from n where i < 20000)
  insert into t select i, hex(randomblob(20)) from n; create index tb on t(b); delete from t where a % 3 = 0; vacuum'
sqlite3 b.db 'pragma journal_mode=wal; create table t(a)' >/dev/null
for i in $(seq 20); do sqlite3 b.db "insert into t values(zeroblob($i * 1000))"; done

# Trees come out of archives and go again.
tar -C /usr/share -cf tree.tar perl5 python3 vim 2>/dev/null || tar -C /usr/share -cf tree.tar perl5 python3
for i in 1 2 3; do mkdir "tree$i"; tar -C "tree$i" -xf tree.tar; done
rm -rf tree2
cp -a tree1 tree4; rm -rf tree1/perl5

# Names: many of one file, long ones, deep ones, in the way of each other.
echo content > original
mkdir links; for i in $(seq 200); do ln original "links/$i"; done; seq -f links/%g 2 2 200 | xargs rm
long=$(printf 'n%.0s' $(seq 255)); mkdir long; for i in $(seq 30); do : > "long/$i${long:${#i}}"; done
deep=deep; for i in $(seq 40); do deep=$deep/level$i; done; mkdir -p $deep; echo bottom > $deep/file
mkdir over; for i in $(seq 50); do echo "$i" > over/new; mv over/new over/one; done
mkdir over/a over/b over/b/c; mv -T over/a over/b/c; mv over/b/c over/c; ln -sfn over/one link; ln -sf "$long" over/dangling

# Many small files, half of which go, and come again under other names.
mkdir small
for i in $(seq 3000); do echo "$i" > "small/$i"; done
seq -f small/%g 1 2 3000 | xargs rm
for i in $(seq 1000); do echo "$i" > "small/again-$i"; done

# Sparse and large ones, and ones that change their size.
truncate -s 100M sparse; mkdir /huge; truncate -s 10G /huge/sparse
for at in 0 11 12 13 1035 1036 20000; do printf x | dd of=sparse bs=4096 seek=$at conv=notrunc status=none; done
for at in 0 70000 1049612 2000000; do printf x | dd of=/huge/sparse bs=4096 seek=$at conv=notrunc status=none; done
head -c 40000000 /dev/urandom > large; cp large large2; truncate -s 12345678 large2; truncate -s 20M large2
fallocate -l 5M reserved; head -c 100 large > tiny; printf more >> tiny
setfattr -n user.colour -v green tiny 2>/dev/null || python3 -c 'import os; os.setxattr("tiny", "user.colour", b"green")'
chown 7:70000 tiny; chmod 751 tiny; chown :70000 small; touch -d 1975-05-05 over
mkfifo pipe; mknod device c 1 3; chmod 4751 device

# Until nothing fits: contents, then names. What was there stays, and everything fits again.
mkdir full
cp -a large full/first; cat /dev/zero > full/zeros || true
for i in $(seq 300); do echo "$i" > "full/$i" || break; done 2>/dev/null
mkdir full/{a..z} 2>/dev/null || true
cmp large full/first
rm -rf full
python3 -c 'import os; f = open("unnamed", "w+"); os.unlink("unnamed"); f.write("x" * 10**6); f.flush(); os.kill(os.getpid(), 9)' || true
# Files without names that no process has open: one is mounted, one waits in sockets that nobody can reach.
echo mounted > mounted; : > /tmp/place; mount --bind mounted /tmp/place; rm mounted
python3 -c 'import os, socket; f = open("sent", "w+"); os.unlink("sent"); f.write("x" * 10**6); f.flush()
s = socket.socketpair(); [socket.send_fds(one, [b"x"], [f.fileno(), s[0].fileno(), s[1].fileno()]) for one in s]'
# Somebody still writes to a file that has no name any more, when all is over.
python3 -c 'import os, time; f = open("held", "w+"); os.unlink("held"); f.write("x" * 10**6); f.flush(); open("/tmp/ready", "w"); time.sleep(1000)' >/dev/null 2>&1 &
until [ -e /tmp/ready ]; do sleep 0.1; done
sync
