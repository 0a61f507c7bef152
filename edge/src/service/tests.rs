//! Requests to the whole service, its storage in memory.

use std::time::{Duration, SystemTime};

use disk::index::IndexBuilder;
use disk::{ChunkDigest, ImageConfig, Layout, Manifest, codec};
use futures_executor::block_on;
use futures_util::StreamExt;
use proptest::prelude::*;

use super::*;
use crate::answer::Body;
use crate::image::body::Piece;
use crate::range::{Selection, select};
use crate::storage::memory::Memory as Store;
use crate::storage::preview::Preview;
use crate::storage::{Content, Key};

/// A service over a storage.
fn service(store: &Rc<Store>) -> Service {
    let storage: Rc<dyn Storage> = store.clone();
    Service { storage, memory: Rc::default(), access: Access::Everybody, cors: Policy::Everybody }
}

/// Not compressible, different everywhere, with zero chunks in between.
fn image(len: usize) -> Vec<u8> {
    let byte = |at: usize| {
        if (at / 8192) % 3 == 1 { 0 } else { ((at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8 }
    };
    (0..len).map(byte).collect()
}

/// The body as it would go over the wire, and what broke it off, if anything did.
fn drain(answer: Answer) -> (Vec<u8>, Option<Refusal>) {
    let mut bytes = Vec::new();
    let mut pieces = match answer.body {
        Body::Empty => return (bytes, None),
        Body::Bytes(all) | Body::Stored(Content::Bytes(all)) => return (all, None),
        Body::Image { pieces, .. } => pieces,
    };
    block_on(async {
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(Piece::Text(text)) => bytes.extend(text.bytes()),
                Ok(Piece::Zeros(len)) => bytes.resize(bytes.len() + len as usize, 0),
                Ok(Piece::Bytes(chunk, range)) => bytes.extend_from_slice(&chunk[range]),
                Err(refusal) => return (bytes, Some(refusal)),
            }
        }
        (bytes, None)
    })
}

fn ask(service: &Service, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    block_on(service.answer(&Request::of(method, path, headers)))
}

fn first_chunk(store: &Store) -> (ChunkDigest, String) {
    let digest = ChunkDigest::of(&image(4096));
    assert!(store.objects.borrow().contains_key(&Key::Chunk(&digest).to_string()));
    (digest, format!("/disk/chunks/{digest}"))
}

#[test]
fn chunks_in_both_encodings() {
    let store = Rc::new(Store::with_image("x", &image(20_000)));
    let service = service(&store);
    let (digest, path) = first_chunk(&store);
    let stored = store.objects.borrow()[&format!("chunks/{digest}")].clone();

    let brotli = ask(&service, "GET", &path, &[("accept-encoding", "gzip, br")]);
    assert_eq!((brotli.status, brotli.header("content-encoding")), (200, Some("br")));
    assert_eq!(brotli.header("etag"), Some(format!("W/\"{digest}\"").as_str()));
    assert_eq!(brotli.header("vary"), Some("accept-encoding"));
    assert_eq!(drain(brotli).0, stored);

    let plain = ask(&service, "GET", &path, &[]);
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    assert_eq!(
        (plain.header("etag"), plain.header("content-length")),
        (Some(format!("\"{digest}\"").as_str()), Some("4096"))
    );
    assert_eq!(drain(plain).0, image(4096));

    for headers in [&[("accept-encoding", "br")][..], &[]] {
        let head = ask(&service, "HEAD", &path, headers);
        let whole = ask(&service, "GET", &path, headers);
        assert_eq!((head.status, &head.headers), (200, &whole.headers));
        assert!(matches!(head.body, Body::Empty));
    }
}

#[test]
fn whoever_has_a_chunk_costs_nothing() {
    let store = Rc::new(Store::with_image("x", &image(4096)));
    let service = service(&store);
    let (digest, path) = first_chunk(&store);
    for tag in [format!("\"{digest}\""), format!("W/\"{digest}\""), format!("\"a\", \"{digest}\"")] {
        let answer = ask(&service, "GET", &path, &[("if-none-match", &tag)]);
        assert_eq!((answer.status, answer.header("cache-control")), (304, Some(crate::headers::CACHE_FOREVER.1)));
    }
    assert!(store.asked.borrow().is_empty());
    // But "anything at all" is a question.
    assert_eq!(ask(&service, "GET", &path, &[("if-none-match", "*")]).status, 304);
    let other = format!("/disk/chunks/{}", ChunkDigest::of(b"other"));
    assert_eq!(ask(&service, "GET", &other, &[("if-none-match", "*")]).status, 404);
    assert_eq!(ask(&service, "GET", &path, &[("if-match", "\"other\"")]).status, 412);
    // No date is known of a chunk, so none counts.
    assert_eq!(ask(&service, "GET", &path, &[("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT")]).status, 200);
}

#[test]
fn manifests_and_conditions() {
    let mut store = Store::with_image("x", &image(4096));
    store.modified = Some(SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777));
    let store = Rc::new(store);
    let service = service(&store);
    for path in ["/disk/manifests/x.json", "/disk/images/x.img"] {
        let answer = ask(&service, "GET", path, &[]);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("last-modified"), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        let etag = answer.header("etag").expect("a tag").to_owned();
        for (headers, status) in [
            (("if-none-match", etag.as_str()), 304),
            (("if-none-match", "\"other\""), 200),
            (("if-match", etag.as_str()), 200),
            (("if-match", "\"other\""), 412),
            (("if-modified-since", "Sun, 06 Nov 1994 08:49:37 GMT"), 304),
            (("if-modified-since", "Sun, 06 Nov 1994 08:49:36 GMT"), 200),
            (("if-unmodified-since", "Sun, 06 Nov 1994 08:49:36 GMT"), 412),
        ] {
            for method in ["GET", "HEAD"] {
                assert_eq!(ask(&service, method, path, &[headers]).status, status, "{method} {path} {headers:?}");
            }
        }
    }
}

#[test]
fn refusals_are_isolated_readable_and_not_cached() {
    let store = Rc::new(Store::with_image("x", &image(4096)));
    let service = service(&store);
    for (status, method, path) in [
        (404, "GET", "/disk/"),
        (404, "GET", "/disk/images/y.img"),
        (404, "HEAD", "/disk/manifests/y.json"),
        (400, "GET", "/disk/images/.img"),
        (405, "POST", "/disk/images/x.img"),
    ] {
        let answer = ask(&service, method, path, &[]);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("cross-origin-embedder-policy"), Some("require-corp"));
        assert_eq!(matches!(answer.body, Body::Empty), method == "HEAD");
    }
    let preflight = ask(&service, "OPTIONS", "/disk/images/x.img", &[("access-control-request-method", "GET")]);
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, Some("GET, HEAD")));
    let range = ask(&service, "GET", "/disk/images/x.img", &[("range", "bytes=5000-")]);
    assert_eq!((range.status, range.header("content-range")), (416, Some("bytes */4096")));
}

#[test]
fn if_range_decides_between_part_and_whole() {
    let store = Rc::new(Store::with_image("x", &image(10_000)));
    let service = service(&store);
    let etag = ask(&service, "HEAD", "/disk/images/x.img", &[]).header("etag").expect("a tag").to_owned();
    let status = |headers: &[(&str, &str)]| ask(&service, "GET", "/disk/images/x.img", headers).status;
    assert_eq!(status(&[("range", "bytes=0-9"), ("if-range", &etag)]), 206);
    assert_eq!(status(&[("range", "bytes=0-9"), ("if-range", "\"old\"")]), 200);
    assert_eq!(status(&[("range", "bytes=99999-"), ("if-range", "\"old\"")]), 200);
    let head = ask(&service, "HEAD", "/disk/images/x.img", &[("range", "bytes=0-9")]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("10000")));
}

#[test]
fn a_terabyte_costs_what_is_read_of_it() {
    let store = Rc::new(Store::default());
    let layout = Layout::new(1 << 40, 1 << 20).expect("layout");
    let content: Vec<u8> = image(3 << 20)[..1 << 20].to_vec();
    let mut index = IndexBuilder::new(layout);
    let last = layout.chunk_count() - 1;
    for chunk in 0..=last {
        let digest = if chunk == last { ChunkDigest::of(&content) } else { ChunkDigest::ZERO };
        if let Some(leaf) = index.push(digest) {
            store.put_chunk(&leaf.bytes);
        }
    }
    let root = index.finish();
    store.put_chunk(&root.bytes);
    store.put_chunk(&content);
    store.put_manifest(
        "x",
        &Manifest { layout, index_root: root.digest, config: ImageConfig::default(), packs: Vec::new() },
    );
    let service = service(&store);
    let path = "/disk/images/x.img";

    let whole = ask(&service, "GET", path, &[]);
    assert_eq!((whole.status, whole.header("content-length")), (200, Some("1099511627776")));
    let zeros = ask(&service, "GET", path, &[("range", "bytes=549755813888-549756813887")]);
    assert_eq!(zeros.header("content-range"), Some("bytes 549755813888-549756813887/1099511627776"));
    assert_eq!(drain(zeros), (vec![0; 1_000_000], None));
    assert_eq!(store.asked.borrow().len(), 2, "manifest and root page, once");

    let range = format!("bytes={}-", (1u64 << 40) - (1 << 20) - 5);
    let (bytes, broken) = drain(ask(&service, "GET", path, &[("range", &range)]));
    assert_eq!((broken, &bytes[..5], &bytes[5..] == content.as_slice()), (None, &[0; 5][..], true));
    assert_eq!(store.asked.borrow().len(), 4, "a leaf page and a chunk");
    assert_eq!(drain(ask(&service, "GET", path, &[("range", "bytes=-1")])).0, content[content.len() - 1..]);
    assert_eq!(store.asked.borrow().len(), 4, "remembered");
}

#[test]
fn ranges_within_a_chunk_fetch_it_once() {
    let store = Rc::new(Store::with_image("x", &image(4096)));
    let range = (0..30).map(|n| format!("{}-{},", n * 100, n * 100 + 9)).collect::<String>();
    let answer = ask(&service(&store), "GET", "/disk/images/x.img", &[("range", &format!("bytes={range}"))]);
    assert_eq!((answer.status, drain(answer).1), (206, None));
    assert_eq!(store.asked.borrow().len(), 4, "manifest, root page, leaf page, chunk: {:?}", store.asked.borrow());
}

#[test]
fn what_is_missing_or_damaged_is_never_sent() {
    let image = image(60_000);
    for (at, expect_head) in [(0, true), (40_960, false)] {
        let digest = ChunkDigest::of(&image[at..at + 4096]);
        let good = codec::encode(&image[at..at + 4096], codec::Quality::QUICK);
        let bad: [(&str, Option<Vec<u8>>); 6] = [
            ("There is no chunk", None),
            ("not a complete brotli stream", Some(good[..good.len() / 2].to_vec())),
            ("not a complete brotli stream", Some(Vec::new())),
            ("what came has the digest", Some(codec::encode(b"something else", codec::Quality::QUICK))),
            ("more than 4096 bytes", Some(codec::encode(&[7; 5000], codec::Quality::QUICK))),
            ("longer than such a thing can be", Some(vec![0; codec::ENCODED_BYTES_MAX as usize + 1])),
        ];
        for (text, stored) in bad {
            let store = Rc::new(Store::with_image("x", &image));
            match stored {
                Some(bytes) => store.put(Key::Chunk(&digest), bytes),
                None => drop(store.objects.borrow_mut().remove(&Key::Chunk(&digest).to_string())),
            }
            let answer = ask(&service(&store), "GET", "/disk/images/x.img", &[]);
            assert_eq!(answer.status, if expect_head { 502 } else { 200 }, "{text}");
            let (sent, broken) = drain(answer);
            if expect_head {
                assert!(String::from_utf8_lossy(&sent).contains(text), "{text}");
            } else {
                assert!(sent.len() <= at && image.starts_with(&sent), "{text}");
                assert!(matches!(&broken, Some(Refusal::Damaged(why)) if why.contains(text)), "{text}: {broken:?}");
            }
            let alone = ask(&service(&store), "GET", &format!("/disk/chunks/{digest}"), &[]);
            assert!(matches!(alone.status, 404 | 502), "{text}: {}", alone.status);
        }
    }
}

#[test]
fn a_storage_that_fails_is_503_or_breaks_the_body_off() {
    let image = image(60_000);
    let requests = {
        let store = Rc::new(Store::with_image("x", &image));
        drain(ask(&service(&store), "GET", "/disk/images/x.img", &[]));
        store.asked.borrow().len()
    };
    for successes in 0..requests {
        let store = Rc::new(Store::with_image("x", &image));
        store.answers_left.set(Some(successes));
        let answer = ask(&service(&store), "GET", "/disk/images/x.img", &[]);
        // Manifest, root page, leaf page, first chunk.
        if successes < 4 {
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        } else {
            let (sent, broken) = drain(answer);
            assert!(image.starts_with(&sent) && sent.len() < image.len());
            assert_eq!(broken, Some(Refusal::Storage("on purpose".into())));
        }
    }
}

#[test]
fn a_new_version_is_seen_after_a_moment_and_never_mixed() {
    let store = Rc::new(Store::with_image("x", &image(10_000)));
    let service = service(&store);
    let mut request = Request::of("GET", "/disk/images/x.img", &[]);
    let old = block_on(service.answer(&request));
    let newer = Store::with_image("x", &vec![7; 20_000]);
    store.objects.borrow_mut().extend(newer.objects.take());
    assert_eq!(drain(old).0, image(10_000));
    request.now += Duration::from_secs(60);
    assert_eq!(drain(block_on(service.answer(&request))).0, vec![7; 20_000]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is asked for, what is sent is what the raw image has there, of the length that was announced.
    #[test]
    fn ranges_are_slices(len in 1usize..100_000, header in "bytes=([0-9]{0,5}-[0-9]{0,5},?){1,5}") {
        let image = image(len);
        let service = service(&Rc::new(Store::with_image("x", &image)));
        let answer = ask(&service, "GET", "/disk/images/x.img", &[("range", &header)]);
        let length: usize = answer.header("content-length").expect("a length").parse().expect("a number");
        let (status, content_type) = (answer.status, answer.header("content-type").unwrap_or_default().to_owned());
        let (sent, broken) = drain(answer);
        prop_assert_eq!((sent.len(), broken), (length, None));
        match select(Some(&header), len as u64) {
            Selection::Unsatisfiable => prop_assert_eq!(status, 416),
            Selection::Whole => prop_assert!(status == 200 && sent == image),
            Selection::Ranges(ranges) => {
                prop_assert_eq!(status, 206);
                let slice = |range: &std::ops::Range<u64>| &image[range.start as usize..range.end as usize];
                if let [range] = ranges.as_slice() {
                    prop_assert!(sent == slice(range));
                    return Ok(());
                }
                let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
                let mut rest = sent.as_slice();
                for range in &ranges {
                    let head = format!(
                        "\r\n--{boundary}\r\ncontent-type: application/octet-stream\r\ncontent-range: bytes {}-{}/{len}\r\n\r\n",
                        range.start, range.end - 1
                    );
                    rest = rest.strip_prefix(head.as_bytes()).expect("a part's head");
                    rest = rest.strip_prefix(slice(range)).expect("a part's bytes");
                }
                let end = format!("\r\n--{boundary}--\r\n");
                prop_assert_eq!(rest, end.as_bytes());
            }
        }
    }

    /// Nothing that can be stored makes the service panic, send what is not announced, or read without bound.
    #[test]
    fn damage_anywhere_is_survived(len in 1usize..30_000, victim in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let image = image(len);
        let store = Rc::new(Store::with_image("x", &image));
        {
            let mut objects = store.objects.borrow_mut();
            let mut keys: Vec<_> = objects.keys().cloned().collect();
            keys.sort();
            let bytes = objects.get_mut(victim.get(&keys)).expect("an object");
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= byte }
        }
        let answer = ask(&service(&store), "GET", "/disk/images/x.img", &[]);
        let status = answer.status;
        let (sent, broken) = drain(answer);
        match status {
            200 if broken.is_none() => prop_assert!(sent == image || sent.len() != image.len(), "another image's manifest"),
            200 => prop_assert!(image.starts_with(&sent)),
            502 => {}
            other => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn a_preview_has_its_own_images_and_everybody_else_s() {
    let store = Rc::new(Store::with_image("default", &image(20_000)));
    store.put_chunk(&image(4096));
    let other = Store::with_image("default", &image(9_000));
    let (ours, theirs) = (Key::PreviewManifest { preview: "branch", image: "default" }, Key::Manifest("default"));
    let manifest = |store: &Store, key: Key<'_>| store.objects.borrow()[&key.to_string()].clone();
    store.put(ours, manifest(&other, theirs));
    store.put(Key::Manifest("tools"), manifest(&store, theirs));
    let body = |preview: &str, path: &str| {
        let storage = Preview::of(preview, store.clone());
        let answer = ask(
            &Service { storage, memory: Rc::default(), access: Access::Everybody, cors: Policy::Everybody },
            "GET",
            path,
            &[],
        );
        (answer.status, drain(answer).0)
    };
    let path = "/disk/manifests/default.json";
    assert_eq!(body("branch", path), (200, manifest(&store, ours)));
    for preview in ["", "another", "../branch"] {
        assert_eq!(body(preview, path), (200, manifest(&store, theirs)), "{preview}");
    }
    assert_eq!(body("branch", "/disk/manifests/tools.json").0, 200);
    assert_eq!(body("branch", "/disk/manifests/none.json").0, 404);
    assert_eq!(body("branch", &first_chunk(&store).1).0, 200);
}
