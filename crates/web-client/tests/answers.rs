//! The client against servers that answer well and badly.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mail::{Domain, Timestamp};
use tls::{RootSources, Roots};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixListener};
use web_client::{Addresses, Client, Error, Limits, Names, Place, Request, Response};

/// A world in which one name has the addresses given.
struct Fixed(Vec<IpAddr>);

impl Names for Fixed {
    fn addresses<'a>(&'a self, host: &'a Domain) -> Addresses<'a> {
        Box::pin(async move {
            if host.as_str() == "keys.example" {
                Ok(self.0.clone())
            } else {
                Err("no such name".to_owned())
            }
        })
    }
}

fn client(addresses: Vec<IpAddr>) -> Client {
    let roots = Roots::load(&RootSources { built_in: true, ..RootSources::default() }).unwrap();
    Client::new(Arc::new(tls::Client::new(Arc::new(roots))), Arc::new(Fixed(addresses)))
}

fn limits() -> Limits {
    Limits { connect: Duration::from_secs(2), total: Duration::from_secs(2), body_octets: 1_000 }
}

/// A server that hears one request and says `answer`, in pieces; gives its port and what it heard.
async fn serve(answer: Vec<Vec<u8>>) -> (u16, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4_096];
        let read = stream.read(&mut heard).await.unwrap();
        for piece in answer {
            if stream.write_all(&piece).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        String::from_utf8_lossy(&heard[..read]).into_owned()
    });
    (port, heard)
}

async fn ask(port: u16) -> Result<Response, Error> {
    let place: Place = format!("http://keys.example:{port}/set?a=1").parse().unwrap();
    let request = Request::post(place, "text/plain", "question").with("X-Asked", "by test");
    client(vec![Ipv4Addr::LOCALHOST.into()]).send(request, limits(), Timestamp::now()).await
}

#[tokio::test]
async fn a_question_is_sent_and_its_answer_read() {
    let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Kind: small\r\n\r\nanswer".to_vec();
    let (port, heard) = serve(whole.chunks(1).map(<[u8]>::to_vec).collect()).await;
    let response = ask(port).await.unwrap();
    assert_eq!((response.status, &response.body[..]), (200, &b"answer"[..]));
    assert_eq!(response.field("x-kind"), Some("small"));
    let heard = heard.await.unwrap();
    assert!(heard.starts_with("POST /set?a=1 HTTP/1.1\r\n"), "{heard}");
    assert!(heard.contains(&format!("host: keys.example:{port}\r\n")), "{heard}");
    assert!(heard.contains("x-asked: by test\r\n") && heard.ends_with("\r\nquestion"), "{heard}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let answer =
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let (port, _heard) = serve(vec![answer.to_vec()]).await;
    let response = ask(port).await.unwrap();
    assert_eq!((response.status, response.is_success()), (302, false));
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let mut answer = vec![b"HTTP/1.1 200 OK\r\n\r\n".to_vec()];
    answer.extend(std::iter::repeat_n(vec![b'x'; 600], 100));
    let (port, _heard) = serve(answer).await;
    assert!(matches!(ask(port).await, Err(Error::TooLong { limit: 1_000 })));
}

#[tokio::test]
async fn a_header_without_end_is_cut_off() {
    let mut answer = vec![b"HTTP/1.1 200 OK\r\n".to_vec()];
    answer.extend(std::iter::repeat_n(b"X: y\r\n".repeat(200), 100));
    let (port, _heard) = serve(answer).await;
    assert!(matches!(ask(port).await, Err(Error::Http(_))));
}

#[tokio::test]
async fn a_server_that_is_silent_is_left_in_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let began = Instant::now();
    let answer = ask(listener.local_addr().unwrap().port()).await;
    assert!(matches!(answer, Err(Error::Timeout(_))), "{answer:?}");
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_server_that_leaves_in_the_middle_is_an_error() {
    let (port, _heard) =
        serve(vec![b"HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\nhalf".to_vec()]).await;
    assert!(matches!(ask(port).await, Err(Error::Http(_))));
}

#[tokio::test]
async fn a_server_that_does_not_shake_hands_is_told_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        // No server of TLS at all: the handshake itself fails, and nothing was sent in the clear.
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4_096];
        let read = stream.read(&mut heard).await.unwrap();
        assert_eq!(heard[0], 22, "a record of a handshake comes first: {:?}", &heard[..read]);
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    });
    let place: Place = format!("https://keys.example:{port}/").parse().unwrap();
    let client = client(vec![Ipv4Addr::LOCALHOST.into()]);
    let answer = client.send(Request::get(place), limits(), Timestamp::now()).await;
    assert!(matches!(answer, Err(Error::Tls { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_is_believed_when_a_known_authority_signed_it_and_only_then() {
    let now = Timestamp::now();
    let authority = tls::Authority::create("Lab", now).unwrap().0;
    let issued = authority.issue(&tls::Leaf::new(["keys.example"], now)).unwrap();
    let keyring = tls::Keyring::load(vec![tls::Entry::given(issued.identity().unwrap())]).unwrap();
    let server = tls::Server::new(&tls::server::Settings::new(Arc::new(keyring))).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok((mut stream, _)) = server.accept(stream, now).await else { continue };
            let mut heard = vec![0; 4_096];
            if stream.read(&mut heard).await.is_ok_and(|read| read > 0) {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    });
    let place: Place = format!("https://keys.example:{port}/").parse().unwrap();
    let pem = vec![authority.certificate_pem().to_owned()];
    let roots = Roots::load(&RootSources { pem, ..RootSources::default() }).unwrap();
    let names = Arc::new(Fixed(vec![Ipv4Addr::LOCALHOST.into()]));
    let knows = Client::new(Arc::new(tls::Client::new(Arc::new(roots))), names);
    let answer = knows.send(Request::get(place.clone()), limits(), now).await.unwrap();
    assert_eq!(&answer.body[..], b"ok");
    let stranger = client(vec![Ipv4Addr::LOCALHOST.into()]);
    let answer = stranger.send(Request::get(place), limits(), now).await;
    assert!(matches!(answer, Err(Error::Untrusted { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_client_kept_on_this_machine_does_not_leave_it() {
    let client = client(vec!["192.0.2.1".parse().unwrap()]).loopback_only(true);
    let place: Place = "http://keys.example/".parse().unwrap();
    let answer = client.send(Request::get(place), limits(), Timestamp::now()).await;
    assert!(matches!(answer, Err(Error::NotAllowed { .. })), "{answer:?}");
    let place: Place = "http://192.0.2.1/".parse().unwrap();
    let answer = client.send(Request::get(place), limits(), Timestamp::now()).await;
    assert!(matches!(answer, Err(Error::NotAllowed { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_name_without_address_is_an_error() {
    let place: Place = "http://other.example/".parse().unwrap();
    let answer = client(Vec::new()).send(Request::get(place), limits(), Timestamp::now()).await;
    assert!(matches!(answer, Err(Error::NoAddress { .. })), "{answer:?}");
}

#[tokio::test]
async fn a_server_on_a_socket_of_this_machine_is_asked_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("http.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4_096];
        let _ = stream.read(&mut heard).await.unwrap();
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    });
    let place: Place = format!("unix:{}:/ping", path.display()).parse().unwrap();
    let client = client(Vec::new());
    let answer = client.send(Request::get(place), limits(), Timestamp::now()).await.unwrap();
    assert_eq!(answer.status, 204);
}
