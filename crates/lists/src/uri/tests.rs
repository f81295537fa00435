use proptest::prelude::*;

use super::*;

fn shown(links: Links) -> Vec<String> {
    let one = |link: Link| match (link.registered, link.host) {
        (Some(registered), _) => registered.to_string(),
        (None, Host::Address(ip)) => ip.to_string(),
        (None, Host::Name(name)) => format!("?{name}"),
    };
    links.into_found().into_iter().map(one).collect()
}

fn in_text(text: &str) -> Vec<String> {
    let mut links = Links::new();
    links.text(text);
    shown(links)
}

fn in_html(html: &str) -> Vec<String> {
    let mut links = Links::new();
    links.html(html);
    shown(links)
}

#[test]
fn the_registered_domain_of_each_link_is_found_once() {
    assert_eq!(
        in_text(
            "See http://www.shop.example.co.uk/x and https://Example.COM:8443/?a, then www.example.com."
        ),
        ["example.co.uk", "example.com", "example.com"],
    );
    assert_eq!(in_text("write to ann@mail.example.org"), ["example.org"]);
    assert_eq!(in_text("visit bad-shop.com today"), ["bad-shop.com"]);
}

#[test]
fn what_only_looks_like_a_name_is_left_alone() {
    assert_eq!(in_text("see main.rs2, version 1.2.3.4, a.txt5 and e.g. this"), [""; 0]);
}

#[test]
fn international_names_become_a_labels() {
    assert_eq!(in_text("http://bücher.de/ and http://xn--bcher-kva.de/"), ["xn--bcher-kva.de"]);
}

#[test]
fn disguises_that_programs_undo_are_undone() {
    for text in [
        "http://%65vil.com/",
        "http://bank.example@evil.com/login",
        "http://ev\u{ad}il.com/",
        "http://evil\u{200b}.com/",
        "http://evil\u{3002}com/",
        "http://\u{ff45}vil.com/",
        "hxxp://evil[.]com/",
        "http:\\\\evil.com\\x",
        "HTTP://EVIL.COM./",
    ] {
        let found = in_text(text);
        assert!(found.contains(&"evil.com".to_owned()), "{text}: {found:?}");
    }
    for html in [
        "<a href=\"http://evil&#46;com/\">x</a>",
        "<a HREF='//evil.com/x'>x</a>",
        "<A class=x href=http://evil.com>x",
        "<a href=\"ht\ntp://ev\til.com/\">x</a>",
        "<a href=\"http:/evil.com/\">x</a>",
        "<img alt='a > b' src=\"https://evil.com/pixel.gif\">",
        "<meta http-equiv=refresh content=\"0; URL=http://evil.com/\">",
        "<form action=http://evil&period;com/take>",
        "<base href=\"https://evil.com/\"><a href=page.html>",
        "<a href=\"https://good.org/r?to=http%3A%2F%2Fevil.com%2Fx\">",
        "<a href='mailto:x@evil.com?subject=a'>",
        "<p>go to https://evil.com/now</p>",
    ] {
        let found = in_html(html);
        assert!(found.contains(&"evil.com".to_owned()), "{html}: {found:?}");
    }
}

#[test]
fn addresses_are_found_however_they_are_written() {
    for url in [
        "http://192.0.2.1/",
        "http://3221225985/",
        "http://0xc0000201/",
        "http://0300.0.2.1/",
        "http://0xc0.0.513/",
        "http://user@192.0.2.1:8080/",
    ] {
        assert_eq!(in_html(&format!("<a href='{url}'>")), ["192.0.2.1"], "{url}");
    }
    assert_eq!(in_html("<a href='http://[2001:db8::1]:80/x'>"), ["2001:db8::1"]);
}

#[test]
fn header_fields_give_the_domains_of_their_addresses() {
    let mut links = Links::new();
    links.field("\"Ann <b@c>\" <ann@mail.shop.com>, bob@other.org");
    links.field("<123.456@sender.net>");
    assert_eq!(shown(links), ["shop.com", "other.org", "sender.net"]);
}

#[test]
fn a_part_in_utf_16_shows_its_links() {
    let octets: Vec<u8> = "see http://evil.com/".bytes().flat_map(|b| [b, 0]).collect();
    let mut links = Links::new();
    links.part(&octets, false);
    assert_eq!(shown(links), ["evil.com"]);
}

#[test]
fn a_hundred_thousand_links_meet_a_limit() {
    let text: String = (0..100_000).map(|n| format!("http://n{n}.com/ ")).collect();
    assert_eq!(in_text(&text).len(), HOSTS_MAX);
    let same = "<a href='http://evil.com/'>".repeat(100_000);
    assert_eq!(in_html(&same), ["evil.com"]);
    let unfinished = "<a ".repeat(100_000);
    assert_eq!(in_html(&unfinished), [""; 0]);
}

proptest! {
    #[test]
    fn any_text_is_searched_without_panic(
        text in "(\\PC|[<>&#;='\"%\\\\/.@\\[\\] \n]|http://|<a href=|&#x){0,60}",
    ) {
        let _ = (in_text(&text), in_html(&text));
        let mut links = Links::new();
        links.field(&text);
        prop_assert!(links.found().len() <= HOSTS_MAX);
    }
}
