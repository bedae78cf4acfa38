//! JSON-RPC over HTTP and HTTPS, as a transport for alloy.
//!
//! alloy's own needs a TLS library of the system for `https`, or one that changes every HTTP client of the program, and it tells the whole URL, keys
//! included, to whoever reads its errors and spans.

use alloy::{
    providers::RootProvider,
    rpc::{
        client::RpcClient,
        json_rpc::{RequestPacket, ResponsePacket},
    },
    transports::{Authorization, TransportError, TransportErrorKind, TransportFut, TransportResult},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::{error::Error, task};
use tower::Service;
use url::Url;

/// The largest answer taken, in bytes, over websockets as well.
pub(crate) const LARGEST_ANSWER: usize = 64 << 20;

/// A client of one node. Clones share its connections.
#[derive(Clone)]
struct HttpTransport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// A provider that asks one node over HTTP. It waits for answers as long as they take: bound what you ask. The error says what is wrong, without
/// anything of the URL.
pub(crate) fn provider(url: &Url) -> Result<RootProvider, String> {
    let transport = transport(url).map_err(|error| error.to_string())?;
    Ok(RootProvider::new(RpcClient::new(transport, false)))
}

fn transport(url: &Url) -> Result<HttpTransport, Box<dyn Error + Send + Sync>> {
    let authorization = Authorization::extract_from_url(url).map(|basic| HeaderValue::try_from(basic.to_string()));
    let mut authorization = authorization.transpose()?;
    if let Some(value) = &mut authorization {
        value.set_sensitive(true);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_webpki_roots(rustls::crypto::ring::default_provider())?
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    let client = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    Ok(HttpTransport { client, uri: uri(url)?, authorization })
}

/// What is asked for: the URL without userinfo, which has a header of its own.
fn uri(url: &Url) -> Result<Uri, http::uri::InvalidUri> {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    format!("{}://{authority}{}{query}", url.scheme(), url.path()).parse()
}

impl HttpTransport {
    async fn send(self, packet: RequestPacket) -> TransportResult<ResponsePacket> {
        let body = packet.serialize().map_err(TransportError::ser_err)?;
        let mut request = Request::post(self.uri).header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let request = request.body(Full::from(body.get().to_owned())).map_err(TransportErrorKind::custom)?;
        let response = self.client.request(request).await.map_err(|error| broken(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
        let body = body.map_err(|error| broken(&*error))?.to_bytes();
        match serde_json::from_slice::<ResponsePacket>(&body) {
            // Some nodes give their errors a status of their own.
            Ok(answer) if status.is_success() || answer.is_error() => Ok(answer),
            Err(error) if status.is_success() => Err(TransportError::deser_err(error, text(&body))),
            _ => Err(TransportErrorKind::http_error(status.as_u16(), text(&body))),
        }
    }
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// The error with its causes: the outermost only says that something didn't work.
fn broken(error: &(dyn Error + 'static)) -> TransportError {
    let causes = std::iter::successors(Some(error), |error| Error::source(*error)).map(ToString::to_string);
    TransportErrorKind::custom_str(&causes.collect::<Vec<_>>().join(": "))
}

impl Service<RequestPacket> for HttpTransport {
    type Response = ResponsePacket;
    type Error = TransportError;
    type Future = TransportFut<'static>;

    fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), Self::Error>> {
        task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, packet: RequestPacket) -> Self::Future {
        Box::pin(self.clone().send(packet))
    }
}
