# What Debian 13 does otherwise than Debian 12, or could: printed the same by Linux and by us.
cat /etc/debian_version
ldd --version | head -n 1
ls --version | head -n 1
apt-get --version | head -n 1
dpkg -l | sha256sum
# Documentation is left out of slim images.
dpkg --verify libc6 coreutils dpkg python3.13-minimal | grep -v '^missing' || echo unchanged
perl -e 'printf "%vd %.17g %s\n", $^V, 2 ** 0.5, join ",", sort { $b <=> $a } 3, 20, 100'

# Times beyond 2038 and 2106.
touch -d '2107-01-02 03:04:05.678901234 UTC' /tmp/late
stat -c '%Y %y' /tmp/late
date -u -d @8589934592 +%FT%T

# Coreutils' own ways with files.
seq 5000 > /tmp/numbers
cp --reflink=auto --debug /tmp/numbers /tmp/copy | head -n 1
mv --exchange /tmp/copy /tmp/late && wc -l /tmp/copy /tmp/late
cksum -a sha512 /tmp/numbers
sort --parallel=4 --random-source=/tmp/numbers -R /tmp/numbers | b2sum
od -A n -t fF /tmp/numbers | tail -n 1
timeout 0.1 sleep 10; echo "timeout $?"
split -n l/3 /tmp/numbers /tmp/part. && wc -c /tmp/part.*
