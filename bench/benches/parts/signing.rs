//! Signing a message: the hash of its body and the signature over its header. The server does
//! this on threads that may block, as many at a time as there are cores.

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use mail::Timestamp;
use mail::header::Header;
use signing::dkim::{Signer, sign};
use signing::{Algorithm, BodyHasher, Key};

fn signatures(bencher: Bencher<'_, '_>, algorithm: Algorithm, octets: usize) {
    let key = Key::generate(algorithm).expect("a key");
    let mut message = b"From: Ann <ann@bank.example>\r\n".to_vec();
    message.extend(bench::content(octets));
    let domain = "bank.example".parse().expect("a domain");
    bencher.counter(ItemsCount::new(1_u32)).counter(BytesCount::new(message.len())).bench(|| {
        let header = Header::scan(black_box(&message)).expect("a header");
        let mut body = BodyHasher::default();
        body.update(&message[header.body_start()..]);
        let signer = Signer { domain: &domain, selector: "s", key: &key };
        sign(&header, body.finish(), signer, Timestamp(1_772_445_731_042)).expect("a signature")
    });
}

#[divan::bench(args = [4_096, 65_536], threads = [1, 2])]
fn rsa(bencher: Bencher<'_, '_>, octets: usize) {
    signatures(bencher, Algorithm::Rsa, octets);
}

#[divan::bench(args = [4_096, 65_536], threads = [1, 2])]
fn ed25519(bencher: Bencher<'_, '_>, octets: usize) {
    signatures(bencher, Algorithm::Ed25519, octets);
}
