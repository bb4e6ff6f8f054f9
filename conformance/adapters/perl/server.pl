#!/usr/bin/perl
# The contract of the conformance kit (docs/conformance-contract.md) on Perl's HTTP::Daemon
# (Debian: libhttp-daemon-perl). It was written from that page alone.
#
#   nngconform run --cmd 'perl conformance/adapters/perl/server.pl {port}'
use strict;
use warnings;
use HTTP::Daemon;
use HTTP::Response;
use IO::Select;
use JSON::PP ();

# HTTP::Daemon makes a URI of the request target, which quotes bytes and strips blanks. This class
# keeps it as HTTP::Daemon read it.
package Target {
    use overload '""' => sub { ${ $_[0] } }, fallback => 1;
    sub new { my ($class, $target) = @_; return bless \$target, $class }
    sub clone { return $_[0] }
    sub abs { return $_[0] }
    sub scheme { return }
    sub canonical { return $_[0] }
}
$HTTP::URI_CLASS = 'Target';

my $json = JSON::PP->new->ascii->canonical;

# The values of one character a byte that the query parameter f names.
sub asked_for {
    my ($target) = @_;
    my ($query) = $target =~ /\?(.*)/s or return;
    for my $parameter (split /&/, $query) {
        my ($name, $value) = split /=/, $parameter, 2;
        next unless $name eq 'f' && defined $value;
        $value =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
        return grep { length } split /,/, $value;
    }
    return;
}

sub echo {
    my ($request) = @_;
    my $target = '' . $request->uri;
    my %fields;
    for my $name (asked_for($target)) {
        my @values = eval { $request->header($name) };
        $fields{$name} = \@values if @values;
    }
    my $body = $json->encode({
        method => $request->method,
        target => $target,
        fields => \%fields,
        body   => $request->content,
    });
    return HTTP::Response->new(200, undef,
        ['Conformance' => 'echo', 'Content-Type' => 'application/json'], $body);
}

sub hijack {
    my ($connection) = @_;
    $connection->send_status_line(101);
    $connection->send_header('Connection' => 'Upgrade', 'Upgrade' => 'echo');
    $connection->send_crlf;
    my $bytes = $connection->read_buffer;
    do {
        while (length $bytes) {
            my $n = syswrite $connection, $bytes;
            return unless defined $n;
            substr($bytes, 0, $n) = '';
        }
    } while (sysread $connection, $bytes, 64 * 1024);
    return;
}

sub serve {
    my ($connection) = @_;
    while (my $request = $connection->get_request) {
        my ($path) = $request->uri =~ /^([^?]*)/;
        return hijack($connection) if $path eq '/hijack';
        my $response;
        if ($path =~ m{^/status/([2-5]\d\d)$}a) {
            $response = HTTP::Response->new($1, undef, [],
                $1 == 204 || $1 == 304 ? '' : "status\n");
        } elsif ($path eq '/empty' || $path eq '/unread') {
            $response = HTTP::Response->new(200);
        } elsif ($path eq '/last') {
            $response = HTTP::Response->new(200, undef, ['Connection' => 'close'], "last\n");
            $connection->force_last_request;
        } elsif ($path eq '/static') {
            $response = HTTP::Response->new(200, undef, ['Content-Type' => 'text/plain'], "static\n");
        } else {
            $response = echo($request);
        }
        $connection->send_response($response);
    }
    return;
}

my $port = shift // die "usage: server.pl PORT\n";
my $daemon = HTTP::Daemon->new(
    LocalAddr => '127.0.0.1', LocalPort => $port, ReuseAddr => 1, Listen => 128,
    Timeout => 2, # for what a client does not send, so that a run does not wait for it
) or die "can't listen on port $port: $@\n";

# One process for each connection, since HTTP::Daemon blocks. It ends with its connection, which
# this one, so that an interrupt ends them, too.
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';
my $select = IO::Select->new($daemon, \*STDIN);
while (my @ready = $select->can_read) {
    if (grep { $_ == \*STDIN } @ready) {
        sysread STDIN, my $ignored, 100 or exit;
        next;
    }
    my $connection = $daemon->accept or next;
    my $child = fork // die "can't fork: $!\n";
    if (!$child) {
        serve($connection);
        exit;
    }
    close $connection;
}
