# What Perl is used for: matching, substituting, hashes, sorting.
use strict;
use warnings;

my ($text, $sum, %seen) = ("", 0);
for my $i (1 .. 100000) {
    $text .= sprintf "%05d:%s;", $i * 7919 % 100003, "ab" x ($i % 5);
}
while ($text =~ /(\d+):((?:ab)*);/g) {
    $seen{length $2} += $1;
}
(my $other = $text) =~ s/(\d)(\d)/$2$1/g;
my @sorted = sort { $a <=> $b } grep { /^\d+$/ } split /[:;]/, $other;
for my $i (0 .. $#sorted) {
    $sum = ($sum * 31 + $i ^ $sorted[$i]) % 1000003;
}
print join(" ", map { "$_=$seen{$_}" } sort keys %seen), " $sum\n";
