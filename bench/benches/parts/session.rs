//! The server session: content decoded, commands parsed, replies written and read.

use bench::Peer;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use smtp::Reply;
use smtp::command::Command;
use smtp::reply::Reader;

/// A whole transaction of one recipient.
#[divan::bench(args = [4_096, 65_536, 1_048_576])]
fn transaction(bencher: Bencher<'_, '_>, octets: usize) {
    let content = bench::content(octets);
    let mut peer = Peer::greeted();
    bencher.counter(BytesCount::new(content.len())).bench_local(move || {
        peer.replies.clear();
        peer.say(b"MAIL FROM:<ana@stranger.example>\r\n");
        peer.say(b"RCPT TO:<dr.lee@clinic.example>\r\n");
        peer.say(b"DATA\r\n");
        for piece in content.chunks(16 * 1024) {
            peer.say(piece);
        }
        peer.replies.len()
    });
}

#[divan::bench]
fn connection(bencher: Bencher<'_, '_>) {
    bencher.bench(Peer::greeted);
}

#[divan::bench(args = [
    "NOOP",
    "MAIL FROM:<ana@stranger.example> SIZE=4096 BODY=8BITMIME",
    "RCPT TO:<dr.lee@clinic.example> NOTIFY=FAILURE,DELAY ORCPT=rfc822;dr.lee@clinic.example",
])]
fn command(line: &str) {
    let _ = black_box(Command::parse(black_box(line.as_bytes())));
}

#[divan::bench]
fn reply_written(bencher: Bencher<'_, '_>) {
    let reply = Reply::new(250, 2, 0, "Message accepted as 01jz3k9m7qv5");
    let mut out = Vec::with_capacity(128);
    bencher.bench_local(move || {
        out.clear();
        black_box(&reply).write_to(&mut out);
        out.len()
    });
}

#[divan::bench]
fn reply_read(bencher: Bencher<'_, '_>) {
    let bytes = b"250-sink.example\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250 8BITMIME\r\n";
    bencher.bench(|| Reader::default().read(black_box(bytes)));
}
