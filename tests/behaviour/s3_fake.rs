//! As much of S3 as a state needs, on a port of this machine, with failures on demand.
//!
//! It stands alone: unit tests of the store include this file, too.
#![allow(dead_code, reason = "what one test does not use, another does")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 503, nothing done.
    Unavailable,
    /// 404, nothing done.
    NotFound,
    /// The connection is cut, nothing done.
    Cut,
    /// Done, and then 500.
    DoneThenFailed,
    /// Done, and then the connection is cut.
    DoneThenCut,
}

/// A bucket of the name `bucket`.
pub struct FakeS3 {
    address: SocketAddr,
    shared: Arc<Mutex<Bucket>>,
}

/// What an object holds, and what tells it from those that had its name before.
#[derive(Clone)]
struct Object {
    content: Bytes,
    tag: String,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Object>,
    /// So often something was written.
    written: u64,
    /// Every connection is cut, and nothing is done.
    is_away: bool,
    uploads: BTreeMap<String, BTreeMap<u32, Bytes>>,
    begun: u32,
    faults: Vec<(&'static str, Fault)>,
    ignores_conditions: bool,
}

impl FakeS3 {
    pub fn start() -> FakeS3 {
        let shared = Arc::new(Mutex::new(Bucket::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        // It ends with the process.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        FakeS3 { address, shared }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the next request of this method fail for which nothing else is set.
    pub fn fail(&self, method: &'static str, fault: Fault) {
        self.bucket().faults.push((method, fault));
    }

    /// From now on it replaces, whatever it is asked.
    pub fn ignore_conditions(&self) {
        self.bucket().ignores_conditions = true;
    }

    pub fn keys(&self) -> Vec<String> {
        self.bucket().objects.keys().cloned().collect()
    }

    /// All that it holds.
    pub fn objects(&self) -> BTreeMap<String, Bytes> {
        self.bucket().objects.iter().map(|(key, object)| (key.clone(), object.content.clone())).collect()
    }

    /// What an object holds.
    pub fn object(&self, key: &str) -> Option<Bytes> {
        self.bucket().objects.get(key).map(|object| object.content.clone())
    }

    /// Writes an object, as somebody else does.
    pub fn put(&self, key: &str, content: impl Into<Bytes>) {
        self.bucket().insert(key.to_owned(), content.into());
    }

    /// While it is away every connection is cut, and nothing is done.
    pub fn set_away(&self, is_away: bool) {
        self.bucket().is_away = is_away;
    }

    pub fn open_uploads(&self) -> usize {
        self.bucket().uploads.len()
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.shared.lock().unwrap()
    }
}

async fn answer(State(shared): State<Arc<Mutex<Bucket>>>, request: Request<Body>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let fault = {
        let mut bucket = shared.lock().unwrap();
        let fault = bucket.faults.iter().position(|(method, _)| *method == head.method.as_str());
        if bucket.is_away { Some(Fault::Cut) } else { fault.map(|index| bucket.faults.remove(index).1) }
    };
    let answer = match fault {
        Some(Fault::NotFound) => status(StatusCode::NOT_FOUND),
        Some(Fault::Unavailable | Fault::Cut) => status(StatusCode::SERVICE_UNAVAILABLE),
        _ => {
            let query = head.uri.query().unwrap_or_default().to_owned();
            shared.lock().unwrap().handle(&head.method, head.uri.path(), &query, &head.headers, body)
        }
    };
    match fault {
        // Without a word of the panic hook; the server drops the connection.
        Some(Fault::Cut | Fault::DoneThenCut) => std::panic::resume_unwind(Box::new("cut")),
        Some(Fault::DoneThenFailed) => status(StatusCode::INTERNAL_SERVER_ERROR),
        _ => answer,
    }
}

impl Bucket {
    fn handle(&mut self, method: &Method, path: &str, query: &str, headers: &HeaderMap, body: Bytes) -> Response<Body> {
        let key = path.strip_prefix("/bucket").unwrap().trim_start_matches('/').to_owned();
        let parameter = |name: &str| {
            let found = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name));
            found.map(|(_, value)| value.replace("%2F", "/"))
        };
        let upload = parameter("uploadId");
        match (method.as_str(), upload) {
            ("PUT", Some(upload)) => {
                let part = parameter("partNumber").unwrap().parse().unwrap();
                self.uploads.get_mut(&upload).unwrap().insert(part, body);
                written("e")
            }
            ("PUT", None) => {
                let there = self.objects.get(&key);
                let must_be_new = headers.contains_key("if-none-match");
                let must_be = headers.get("if-match").map(|tag| tag.to_str().unwrap());
                let is_right = match (must_be, there) {
                    (Some(tag), Some(there)) => there.tag == tag,
                    // As the service says it.
                    (Some(_), None) => return status(StatusCode::NOT_FOUND),
                    (None, there) => !(must_be_new && there.is_some()),
                };
                if !is_right && !self.ignores_conditions {
                    return status(StatusCode::PRECONDITION_FAILED);
                }
                written(&self.insert(key, body))
            }
            ("POST", None) if query.starts_with("delete") => {
                let request = String::from_utf8(body.to_vec()).unwrap();
                let keys = request.split("<Key>").skip(1).filter_map(|key| key.split_once("</Key>"));
                let deleted: String = keys
                    .map(|(key, _)| {
                        self.objects.remove(key);
                        format!("<Deleted><Key>{key}</Key></Deleted>")
                    })
                    .collect();
                xml(format!("<DeleteResult>{deleted}</DeleteResult>"))
            }
            ("POST", None) => {
                self.begun += 1;
                let upload = format!("u{}", self.begun);
                self.uploads.insert(upload.clone(), BTreeMap::new());
                xml(format!(
                    "<InitiateMultipartUploadResult><UploadId>{upload}</UploadId></InitiateMultipartUploadResult>"
                ))
            }
            ("POST", Some(upload)) => {
                let parts = self.uploads.remove(&upload).unwrap();
                self.insert(key, parts.into_values().collect::<Vec<_>>().concat().into());
                xml("<CompleteMultipartUploadResult><ETag>\"e\"</ETag></CompleteMultipartUploadResult>".to_owned())
            }
            ("DELETE", None) => {
                self.objects.remove(&key);
                status(StatusCode::NO_CONTENT)
            }
            ("DELETE", Some(upload)) => {
                self.uploads.remove(&upload);
                status(StatusCode::NO_CONTENT)
            }
            _ if key.is_empty() => self.list(&parameter("prefix").unwrap_or_default()),
            (method, _) => self.read(&key, headers, method == "HEAD"),
        }
    }

    /// Its tag is given back.
    fn insert(&mut self, key: String, content: Bytes) -> String {
        self.written += 1;
        let tag = format!("\"{}\"", self.written);
        self.objects.insert(key, Object { content, tag: tag.clone() });
        tag
    }

    fn list(&self, prefix: &str) -> Response<Body> {
        let contents: String = self
            .objects
            .iter()
            .filter(|(key, _)| key.strip_prefix(prefix).is_some_and(|rest| !rest.contains('/')))
            .map(|(key, Object { content, tag })| {
                format!(
                    "<Contents><Key>{key}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>{tag}</ETag></Contents>",
                    content.len()
                )
            })
            .collect();
        xml(format!("<ListBucketResult>{contents}</ListBucketResult>"))
    }

    fn read(&self, key: &str, headers: &HeaderMap, head_only: bool) -> Response<Body> {
        let Some(Object { content, tag }) = self.objects.get(key) else { return status(StatusCode::NOT_FOUND) };
        let answer =
            Response::builder().header("etag", tag.as_str()).header("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
        let range = headers.get("range").map(|range| range.to_str().unwrap().strip_prefix("bytes=").unwrap());
        let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
            let body = if head_only { Body::empty() } else { Body::from(content.clone()) };
            return answer.header("content-length", content.len()).body(body).unwrap();
        };
        let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
        if first >= content.len() {
            return status(StatusCode::RANGE_NOT_SATISFIABLE);
        }
        let last = last.min(content.len() - 1);
        answer
            .status(StatusCode::PARTIAL_CONTENT)
            .header("content-range", format!("bytes {first}-{last}/{}", content.len()))
            .body(Body::from(content.slice(first..=last)))
            .unwrap()
    }
}

fn status(status: StatusCode) -> Response<Body> {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

fn written(tag: &str) -> Response<Body> {
    Response::builder().header("etag", tag).body(Body::empty()).unwrap()
}

fn xml(text: String) -> Response<Body> {
    Response::builder().header("content-type", "application/xml").body(Body::from(text)).unwrap()
}
