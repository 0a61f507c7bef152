# What shell scripts are made of. It prints the same on any Linux.
here=$(mktemp -d); cd "$here"; trap 'rm -r "$here"' EXIT
seq 1 2000 | perl -ne 'push @n, $_ * 7919 % 1009; END { print "$_\n" for @n }' > numbers
sort -n numbers | uniq -c | sort -k1,1nr -k2,2n | head -2 | tr -s ' '
shuf --random-source=numbers -i 1-1000 | sort -n | md5sum
split -l 300 numbers part.; wc -l part.* | tail -1; cat part.* | cmp - numbers && echo same
paste -d, <(head -3 numbers) <(tail -3 numbers) | tac; comm -12 <(seq 1 9) <(seq 3 3 9) | paste -sd+ | sed 's/+/ + /g'
perl -e 'my %h; open my $f, "<", "numbers" or die; while (<$f>) { chomp; $h{$_ % 7}++ } print join(" ", map { "$_:$h{$_}" } sort keys %h), "\n"'
perl -MPOSIX -e 'my $pid = fork // die; if (!$pid) { exit 7 } waitpid $pid, 0; printf "%d %s\n", WEXITSTATUS($?), strftime("%Y-%m-%d", gmtime 86400 * 365)'
mkdir -p a/b; echo x > a/b/f; ln -s b/f a/l; ln a/b/f a/h; cp -a a c; chmod 640 c/b/f; stat -c '%A %h %F' c/b/f c/l; readlink c/l
find c -type l -o -name h | sort; du -b --apparent-size a/b/f; tar -cf - a | tar -tf - | sort | head -3; mv c d && rm -r d && ls
date -u -d @86400 +%F; printf '%s\n' {a..c}{1..2} | xargs -n 3 -P 1 echo; dd if=/dev/zero bs=1k count=3 status=none | sha256sum | cut -c 1-16
timeout 0.1 sleep 5; echo $?; nice -n 5 nice; env -i A=1 env; echo 5 | numfmt --to=iec --from-unit=1024; base64 <<< edgebox; factor 1000003 91
