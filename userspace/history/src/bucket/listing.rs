//! What a bucket lists, without keys that our library takes for wrong.
//!
//! A key such as `a//b` or `a/../b` is one to S3 and no path to the library, which then gives nothing of the whole list.
//! No file of ours is called so: whoever puts such an object beside ours hides none of them. They are taken out of what
//! the server answers, before anybody reads that.

use async_trait::async_trait;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use object_store::path::Path as Key;
use object_store::{ClientOptions, Result};

/// What of a request says that it asks for a list.
const ASKS_FOR_LIST: &str = "list-type=2";

/// Connects to a server, and looks at its lists.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Lists(ReqwestConnector::default().connect(options)?)))
    }
}

#[derive(Debug)]
struct Lists(HttpClient);

#[async_trait]
impl HttpService for Lists {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let is_list = request.uri().query().is_some_and(|query| query.contains(ASKS_FOR_LIST));
        let response = self.0.execute(request).await?;
        if !is_list || !response.status().is_success() {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let octets = body.bytes().await?;
        let body = readable(&octets).map_or_else(|| HttpResponseBody::from(octets), HttpResponseBody::from);
        Ok(HttpResponse::from_parts(head, body))
    }
}

/// A list without what the library would take for wrong; nothing where all of it is right.
fn readable(list: &[u8]) -> Option<String> {
    let list = std::str::from_utf8(list).ok()?;
    // An object whose key is another one by the library's reading would be taken for that one.
    let is_key = |key: &str| Key::parse(key).is_ok_and(|read| read.as_ref() == key);
    let objects = with_keys(list, ("Contents", "Key"), is_key);
    let all = with_keys(&objects, ("CommonPrefixes", "Prefix"), |key| Key::parse(key).is_ok());
    (all.len() < list.len()).then_some(all)
}

/// A list with those of its elements of this name whose key is right, and with all others.
fn with_keys(list: &str, (element, name): (&str, &str), is_right: impl Fn(&str) -> bool) -> String {
    let [begin, end] = [format!("<{element}>"), format!("</{element}>")];
    let (mut kept, mut rest) = (String::with_capacity(list.len()), list);
    while let Some((before, (one, behind))) =
        rest.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)))
    {
        kept.push_str(before);
        // What has no key is the library's to refuse.
        if key(one, name).is_none_or(|key| is_right(&key)) {
            [begin.as_str(), one, end.as_str()].into_iter().for_each(|part| kept.push_str(part));
        }
        rest = behind;
    }
    kept.push_str(rest);
    kept
}

/// What is said under this name in an element.
fn key(element: &str, name: &str) -> Option<String> {
    let (_, behind) = element.split_once(&format!("<{name}>"))?;
    let (mut rest, _) = behind.split_once(&format!("</{name}>"))?;
    let mut key = String::new();
    while let Some((before, behind)) = rest.split_once('&') {
        let (name, behind) = behind.split_once(';')?;
        key.push_str(before);
        key.push(character(name)?);
        rest = behind;
    }
    key.push_str(rest);
    Some(key)
}

/// The character of this name, as XML has it.
fn character(name: &str) -> Option<char> {
    let numbered = |digits: &str, radix| char::from_u32(u32::from_str_radix(digits, radix).ok()?);
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => match name.strip_prefix("#x") {
            Some(digits) => numbered(digits, 16),
            None => numbered(name.strip_prefix('#')?, 10),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bucket::Bucket;
    use crate::options::BucketOptions;
    use std::fs;
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::AtomicBool;
    use std::thread;

    const FILE: &str = "query=a/hour=1970-01-01T00/00000001-000000ab.parquet";
    const FOREIGN: [&str; 6] = [
        "query=a//b",
        "query=a/hour=1970-01-01T00/../00000001-000000ab.parquet",
        "query=a/./b",
        "query=a/b&#x1;c",
        "query=a/&#47;/b",
        // It would be taken for the file.
        "query=a/hour=1970-01-01T00/00000001-000000ab.parquet/",
    ];

    fn object(key: &str) -> String {
        format!(
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
             <ETag>&quot;e&quot;</ETag><Size>9</Size></Contents>"
        )
    }

    fn list(elements: &[String]) -> String {
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>results</Name>\
             <IsTruncated>false</IsTruncated>{}</ListBucketResult>",
            elements.concat()
        )
    }

    #[test]
    fn what_is_no_path_is_taken_out_and_all_else_stays_as_it_is() {
        let right: Vec<String> = [FILE, "query=a/R&amp;D/1&lt;2", "other"].map(object).to_vec();
        assert_eq!(readable(list(&right).as_bytes()), None);
        assert_eq!(readable(b"\xff"), None);
        for foreign in FOREIGN {
            let all = [&right[..1], &[object(foreign)], &right[1..]].concat();
            assert_eq!(readable(list(&all).as_bytes()), Some(list(&right)), "{foreign}");
        }
        let prefix = |name: &str| format!("<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>");
        let all = ["query=a/", "/", "//", "query=b/"].map(prefix);
        let kept = ["query=a/", "/", "query=b/"].map(prefix);
        assert_eq!(readable(list(&all).as_bytes()), Some(list(&kept)));
    }

    /// Answers a request with this text.
    fn answer(mut stream: TcpStream, text: &str) {
        let (mut request, mut octets) = (vec![], [0; 4096]);
        while !request.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut octets).unwrap();
            assert!(read > 0, "it asks to the end");
            request.extend_from_slice(&octets[..read]);
        }
        let length = text.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn what_somebody_else_puts_beside_ours_hides_none_of_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let credentials = folder.path().join("credentials");
        fs::write(&credentials, "[default]\naws_access_key_id=A\naws_secret_access_key=b\n").unwrap();
        let mut options = BucketOptions::new("s3://results").unwrap();
        options.endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
        options.region = Some("us-east-1".to_owned());
        options.credentials_file = Some(credentials);
        let all: Vec<String> = FOREIGN.into_iter().chain([FILE]).map(object).collect();
        let server = thread::spawn(move || answer(listener.accept().unwrap().0, &list(&all)));
        let found = Bucket::new(options).files("a", &AtomicBool::new(false)).unwrap();
        let names: Vec<String> = found.keys().map(|file| file.name.clone()).collect();
        assert_eq!(names, ["00000001-000000ab.parquet"]);
        server.join().unwrap();
    }
}
