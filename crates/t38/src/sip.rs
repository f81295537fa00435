//! Calls by SIP (RFC 3261), over UDP.
//!
//! The messages, transactions and dialogs are `rsipstack`'s. It has no limits of its own, so
//! the limits are here: only the gateway's addresses are listened to at all, and only so many
//! calls and requests are under way at a time.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rsipstack::dialog::DialogId;
use rsipstack::dialog::authenticate::Credential;
use rsipstack::dialog::dialog::{DialogState, DialogStateReceiver};
use rsipstack::dialog::dialog_layer::DialogLayer;
use rsipstack::dialog::invitation::InviteOption;
use rsipstack::dialog::invite_dialog::InviteDialog;
use rsipstack::sip::headers::ToTypedHeader;
use rsipstack::sip::{
    Auth, Header, HeadersExt, HostWithPort, Method, Response, Scheme, StatusCode, StatusCodeKind,
    Transport, Uri,
};
use rsipstack::transaction::{Endpoint, EndpointBuilder, Transaction};
use rsipstack::transport::transport_layer::DomainResolver;
use rsipstack::transport::udp::UdpConnection;
use rsipstack::transport::{SipAddr, TransportLayer};
use tokio::net::UdpSocket;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::sdp::{self, Description, Fax, Kind, Media};

/// The port of SIP.
pub const PORT: u16 = 5060;
/// Requests of the gateway that are answered at a time; more are told to come later.
const REQUESTS_MAX: usize = 64;
/// How long a call may ring.
const RINGING_MAX: Duration = Duration::from_secs(60);
/// How long a call that was given up may take to end.
const GIVING_UP_MAX: Duration = Duration::from_secs(5);
/// How long a call that began as voice may take until it is one of fax.
const CHANGE_MAX: Duration = Duration::from_secs(20);
/// How long the other side may take to confirm what we accepted.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(32);
/// Ports that are tried for the packets of a call.
const PORTS_TRIED: usize = 100;

/// How calls are made and taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Our own address; it stands in what the other side is told, so it is one.
    pub listen: SocketAddr,
    /// Where calls go.
    pub gateway: SocketAddr,
    /// The host in the addresses that are called.
    pub domain: String,
    /// Ports for the packets of calls.
    pub media_ports: RangeInclusive<u16>,
    /// The addresses that may call.
    pub peers: Vec<IpAddr>,
    /// The most calls at a time, in both directions together.
    pub calls_max: usize,
    /// User and password, where the gateway asks for them.
    pub credentials: Option<(String, String)>,
}

/// A line: an address of ours that calls and is called.
pub struct Line {
    dialogs: Arc<DialogLayer>,
    settings: Settings,
    calls: Arc<Semaphore>,
    _stop: DropGuard,
}

/// Why there is no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotConnected {
    /// The other side said so (RFC 3261, 21).
    #[error("the gateway answers {code} {phrase}")]
    Refused {
        /// The code of its answer.
        code: u16,
        /// Its words.
        phrase: String,
    },
    /// Nobody answered in time.
    #[error("nobody answers")]
    NoAnswer,
    /// It was cancelled.
    #[error("the call was cancelled")]
    Cancelled,
    /// The other side answers and takes no fax this way.
    #[error("the other side takes no fax by T.38: {0}")]
    NoFax(String),
    /// As many calls as may be are under way, or the gateway cannot be reached.
    #[error("no line: {0}")]
    NoLine(String),
}

/// A call that is there and carries fax.
pub struct Call {
    /// What the other side said of its fax machine.
    pub other: Fax,
    begun: Begun,
    is_over: bool,
}

/// A call that somebody makes to us and that was not answered yet.
pub struct Incoming {
    /// The number that was called, as the gateway writes it.
    pub called: String,
    /// The number of the caller, as the gateway writes it.
    pub caller: String,
    /// The name of the call.
    pub call_id: String,
    offer: Media,
    dialog: InviteDialog,
    states: DialogStateReceiver,
    dialogs: Arc<DialogLayer>,
    settings: Settings,
    permit: OwnedSemaphorePermit,
}

impl Line {
    /// Opens the line; calls to it come out of what is given with it.
    ///
    /// # Errors
    ///
    /// When the address is not ours or is taken.
    pub async fn open(settings: Settings) -> io::Result<(Self, mpsc::Receiver<Incoming>)> {
        let stop = CancellationToken::new();
        let everyone = ToGateway(SipAddr::new(Transport::Udp, settings.gateway.into()));
        let transport = TransportLayer::new_with_domain_resolver(stop.clone(), Box::new(everyone));
        let peers: Arc<[IpAddr]> = settings
            .peers
            .iter()
            .chain([&settings.gateway.ip()])
            .map(IpAddr::to_canonical)
            .collect();
        transport.set_whitelist(move |address: IpAddr| {
            let is_peer = peers.contains(&address.to_canonical());
            std::future::ready(is_peer)
        });
        let socket =
            UdpConnection::create_connection(settings.listen, None, Some(stop.child_token()))
                .await
                .map_err(io::Error::other)?;
        transport.add_transport(socket.into());
        let endpoint = EndpointBuilder::new()
            .with_user_agent("Mailkeep")
            .with_cancel_token(stop.clone())
            .with_transport_layer(transport)
            .build();
        let dialogs = Arc::new(DialogLayer::new(endpoint.inner.clone()));
        let calls = Arc::new(Semaphore::new(settings.calls_max));
        let (tell, incoming) = mpsc::channel(1);
        let taker = Taker {
            dialogs: Arc::clone(&dialogs),
            settings: settings.clone(),
            calls: Arc::clone(&calls),
            tell,
            stop: stop.clone(),
        };
        tokio::spawn(taker.run(endpoint));
        let line = Self { dialogs, settings, calls, _stop: stop.drop_guard() };
        Ok((line, incoming))
    }

    /// Calls a number, from another, under a name of the call. A call that the other side does
    /// not take as fax at once is begun as voice and changed, as gateways do it.
    ///
    /// # Errors
    ///
    /// When there is no call in the end; then there is none under way either.
    pub async fn call(
        &self,
        number: &str,
        caller: &str,
        call_id: &str,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Call, NotConnected> {
        tokio::pin!(cancelled);
        match self.begin(Kind::Fax, number, caller, call_id, cancelled.as_mut()).await {
            // Not acceptable here, unsupported media type, not acceptable anywhere.
            Err(NotConnected::Refused { code: 488 | 415 | 606, .. }) => {
                // It is another call to the other side.
                let call_id = format!("{call_id}-voice");
                self.begin(Kind::Voice, number, caller, &call_id, cancelled).await
            }
            answered => answered,
        }
    }

    /// Calls as [`Line::call`] does once fax alone was refused.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn call_by_voice(
        &self,
        number: &str,
        caller: &str,
        call_id: &str,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Call, NotConnected> {
        self.begin(Kind::Voice, number, caller, call_id, cancelled).await
    }

    async fn begin(
        &self,
        kind: Kind,
        number: &str,
        caller: &str,
        call_id: &str,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Call, NotConnected> {
        tokio::pin!(cancelled);
        let no_line = |words: String| NotConnected::NoLine(words);
        let permit = Arc::clone(&self.calls)
            .try_acquire_owned()
            .map_err(|_| no_line("as many calls as may be are under way".to_owned()))?;
        let (listen, ports) = (self.settings.listen, &self.settings.media_ports);
        let socket = media_socket(listen.ip(), ports).await.map_err(|e| no_line(e.to_string()))?;
        let media = socket.local_addr().map_err(|e| no_line(e.to_string()))?;
        let session = u64::from(fastrand::u32(1..));
        let description = Description { media, session, version: 1, kind };
        let invited = self.invite(&description, number, caller, call_id, cancelled.as_mut());
        let (dialog, states, media) = invited.await?;
        let dialogs = Arc::clone(&self.dialogs);
        let socket = Arc::new(socket);
        let begun = Begun { socket, dialog, states, dialogs, session, version: 1, _permit: permit };
        match media {
            Media::Fax(other) => Ok(begun.with(other)),
            Media::Voice(_) => begun.changed(cancelled).await,
            Media::Neither(why) => Err(begun.given_up(NotConnected::NoFax(why.to_owned())).await),
        }
    }

    async fn invite(
        &self,
        description: &Description,
        number: &str,
        caller: &str,
        call_id: &str,
        cancelled: impl Future<Output = ()>,
    ) -> Result<(InviteDialog, DialogStateReceiver, Media), NotConnected> {
        let settings = &self.settings;
        let no_line = |error: &dyn std::fmt::Display| NotConnected::NoLine(error.to_string());
        let domain = HostWithPort::try_from(settings.domain.as_str()).map_err(|e| no_line(&e))?;
        let credential = settings.credentials.as_ref().map(|(user, password)| Credential {
            username: user.clone(),
            password: password.clone(),
            realm: None,
            auth_username: None,
        });
        let option = InviteOption {
            caller: uri(caller, settings.listen.into()),
            callee: uri(number, domain),
            destination: Some(SipAddr::new(Transport::Udp, settings.gateway.into())),
            content_type: Some(SDP.to_owned()),
            offer: Some(description.to_string().into_bytes()),
            contact: uri(caller, settings.listen.into()),
            credential,
            call_id: Some(call_id.to_owned()),
            ..InviteOption::default()
        };
        let (tell, states) = self.dialogs.new_dialog_state_channel();
        let (dialog, mut answer) =
            self.dialogs.do_invite_async(option, tell).map_err(|e| no_line(&e))?;
        let given_up = tokio::select! {
            answered = &mut answer => return connected(&self.dialogs, dialog, states, answered),
            () = cancelled => NotConnected::Cancelled,
            () = tokio::time::sleep(RINGING_MAX) => NotConnected::NoAnswer,
        };
        let _cancelled = dialog.cancel().await;
        // It may be answered at the last moment; then there is a call, which is ended.
        if let Ok(Ok(Ok((id, Some(response))))) = timeout(GIVING_UP_MAX, answer).await
            && response.status_code.kind() == StatusCodeKind::Successful
        {
            let _ended = dialog.hangup().await;
            self.dialogs.remove_dialog(&id);
        }
        Err(given_up)
    }
}

fn uri(user: &str, host: HostWithPort) -> Uri {
    Uri {
        scheme: Some(Scheme::Sip),
        auth: Some(Auth { user: user.to_owned(), password: None }),
        host_with_port: host,
        ..Uri::default()
    }
}

type Invited = (DialogId, Option<Response>);

fn connected<E: std::fmt::Display>(
    dialogs: &Arc<DialogLayer>,
    dialog: InviteDialog,
    states: DialogStateReceiver,
    answered: Result<rsipstack::Result<Invited>, E>,
) -> Result<(InviteDialog, DialogStateReceiver, Media), NotConnected> {
    let (id, response) = match answered {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => return Err(NotConnected::NoLine(error.to_string())),
        Err(error) => return Err(NotConnected::NoLine(error.to_string())),
    };
    let Some(response) = response else {
        return Err(NotConnected::NoLine("the gateway does not answer".to_owned()));
    };
    if response.status_code.kind() == StatusCodeKind::Successful {
        return Ok((dialog, states, sdp::read(&response.body)));
    }
    dialogs.remove_dialog(&id);
    let code = u16::from(response.status_code.clone());
    let phrase = response.status_code.to_string();
    Err(NotConnected::Refused { code, phrase: phrase.trim().to_owned() })
}

/// A call that is there, whether or not it carries fax.
struct Begun {
    /// Where our packets of it come in.
    socket: Arc<UdpSocket>,
    dialog: InviteDialog,
    states: DialogStateReceiver,
    dialogs: Arc<DialogLayer>,
    session: u64,
    version: u32,
    _permit: OwnedSemaphorePermit,
}

impl Begun {
    fn with(self, other: Fax) -> Call {
        Call { other, begun: self, is_over: false }
    }

    async fn given_up(self, error: NotConnected) -> NotConnected {
        let _ended = self.dialog.hangup().await;
        self.dialogs.remove_dialog(&self.dialog.id());
        error
    }

    fn description(&mut self) -> Option<String> {
        self.version += 1;
        let media = self.socket.local_addr().ok()?;
        let (session, version) = (self.session, self.version);
        Some(Description { media, session, version, kind: Kind::Fax }.to_string())
    }

    /// A call of ours that began as voice: the other side changes it to fax once it hears the
    /// machine behind it; where it does not, we do.
    async fn changed(mut self, cancelled: impl Future<Output = ()>) -> Result<Call, NotConnected> {
        let waited = tokio::select! {
            waited = timeout(CHANGE_MAX / 2, self.offered()) => waited,
            () = cancelled => return Err(self.given_up(NotConnected::Cancelled).await),
        };
        match waited {
            Ok(Some(other)) => Ok(self.with(other)),
            Ok(None) => {
                let error = NotConnected::NoFax("it hung up".to_owned());
                Err(self.given_up(error).await)
            }
            Err(_) => self.change().await,
        }
    }

    /// The fax part of what the other side offers; `None` when it hangs up.
    async fn offered(&mut self) -> Option<Fax> {
        while let Some(state) = self.states.recv().await {
            match state {
                DialogState::Updated(_, request, handle) => {
                    let Media::Fax(other) = sdp::read(&request.body) else {
                        let _told = handle.reply(StatusCode::NotAcceptableHere).await;
                        continue;
                    };
                    let Some(answer) = self.description() else {
                        let _told = handle.reply(StatusCode::ServiceUnavailable).await;
                        continue;
                    };
                    let answer = Some(answer.into_bytes());
                    let _told = handle.respond(StatusCode::OK, Some(sdp_header()), answer).await;
                    return Some(other);
                }
                DialogState::Terminated(..) => return None,
                other => answer(other).await,
            }
        }
        None
    }

    /// Asks the other side to go on with fax.
    async fn change(mut self) -> Result<Call, NotConnected> {
        let Some(offer) = self.description() else {
            let error = NotConnected::NoLine("the port for packets is gone".to_owned());
            return Err(self.given_up(error).await);
        };
        let asked = self.dialog.reinvite(Some(sdp_header()), Some(offer.into_bytes()));
        let why = match timeout(CHANGE_MAX, asked).await {
            Ok(Ok(Some(response))) => match sdp::read(&response.body) {
                Media::Fax(other) if response.status_code.kind() == StatusCodeKind::Successful => {
                    return Ok(self.with(other));
                }
                _ => format!("it answers {}", response.status_code.to_string().trim()),
            },
            Ok(Ok(None)) => "it hung up".to_owned(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "it does not answer".to_owned(),
        };
        Err(self.given_up(NotConnected::NoFax(why)).await)
    }
}

impl Incoming {
    /// Takes the call.
    ///
    /// # Errors
    ///
    /// When it carries no fax in the end; then it is over.
    pub async fn accept(mut self) -> Result<Call, NotConnected> {
        let (kind, other) = match &self.offer {
            Media::Fax(other) => (Kind::Fax, Some(other.clone())),
            Media::Voice(_) => (Kind::Voice, None),
            Media::Neither(why) => {
                let error = NotConnected::NoFax((*why).to_owned());
                self.refuse(StatusCode::NotAcceptableHere);
                return Err(error);
            }
        };
        let socket = match media_socket(self.settings.listen.ip(), &self.settings.media_ports).await
        {
            Ok(socket) => socket,
            Err(error) => {
                self.refuse(StatusCode::ServiceUnavailable);
                return Err(NotConnected::NoLine(error.to_string()));
            }
        };
        let media = socket.local_addr().map_err(|e| NotConnected::NoLine(e.to_string()))?;
        let session = u64::from(fastrand::u32(1..));
        let description = Description { media, session, version: 1, kind }.to_string();
        let accepted = self.dialog.accept(Some(sdp_header()), Some(description.into_bytes()));
        let confirmed = match accepted {
            Ok(()) => timeout(CONFIRMED_WITHIN, self.confirmed()).await.unwrap_or(false),
            Err(_) => false,
        };
        let begun = Begun {
            socket: Arc::new(socket),
            dialog: self.dialog,
            states: self.states,
            dialogs: self.dialogs,
            session,
            version: 1,
            _permit: self.permit,
        };
        match other {
            _ if !confirmed => {
                let error = NotConnected::NoFax("it hung up before it began".to_owned());
                Err(begun.given_up(error).await)
            }
            Some(other) => Ok(begun.with(other)),
            None => begun.change().await,
        }
    }

    /// Refuses the call.
    pub fn reject(self, status: u16) {
        self.refuse(StatusCode::from(status));
    }

    fn refuse(&self, status: StatusCode) {
        let _told = self.dialog.reject(Some(status), None);
        self.dialogs.remove_dialog(&self.dialog.id());
    }

    async fn confirmed(&mut self) -> bool {
        while let Some(state) = self.states.recv().await {
            match state {
                DialogState::Confirmed(..) => return true,
                DialogState::Terminated(..) => return false,
                other => answer(other).await,
            }
        }
        false
    }
}

impl Call {
    /// Where our packets of it come in.
    pub fn socket(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.begun.socket)
    }

    /// Until the other side hangs up. What it asks meanwhile is answered: a repeated offer of
    /// fax is what there is already, and anything else is not.
    pub async fn over(&mut self) {
        while self.begun.offered().await.is_some() {}
        self.is_over = true;
    }

    /// Ends the call.
    pub async fn hang_up(mut self) {
        if !self.is_over {
            self.is_over = true;
            let _ended = timeout(GIVING_UP_MAX, self.begun.dialog.hangup()).await;
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let (dialog, dialogs) = (self.begun.dialog.clone(), Arc::clone(&self.begun.dialogs));
        if !self.is_over
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Whoever calls is told even when nobody here waits for it.
            runtime.spawn(async move {
                let _ended = timeout(GIVING_UP_MAX, dialog.hangup()).await;
                dialogs.remove_dialog(&dialog.id());
            });
        } else {
            dialogs.remove_dialog(&dialog.id());
        }
    }
}

/// Answers what is asked within a call and changes nothing.
async fn answer(state: DialogState) {
    let (handle, status) = match state {
        DialogState::Info(_, _, handle)
        | DialogState::Options(_, _, handle)
        | DialogState::Notify(_, _, handle) => (handle, StatusCode::OK),
        DialogState::Updated(_, _, handle) => (handle, StatusCode::NotAcceptableHere),
        DialogState::Refer(_, _, handle)
        | DialogState::Message(_, _, handle)
        | DialogState::Publish(_, _, handle) => (handle, StatusCode::MethodNotAllowed),
        _ => return,
    };
    let _told = handle.reply(status).await;
}

/// Whatever is named by a name is at the gateway: no name is looked up.
struct ToGateway(SipAddr);

impl DomainResolver for ToGateway {
    fn resolve<'s, 't, 'f>(&'s self, _target: &'t SipAddr) -> Resolved<'f>
    where
        's: 'f,
        't: 'f,
        Self: 'f,
    {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

type Resolved<'f> = Pin<Box<dyn Future<Output = rsipstack::Result<SipAddr>> + Send + 'f>>;

/// Takes requests of the gateway.
struct Taker {
    dialogs: Arc<DialogLayer>,
    settings: Settings,
    calls: Arc<Semaphore>,
    tell: mpsc::Sender<Incoming>,
    stop: CancellationToken,
}

impl Taker {
    async fn run(self, endpoint: Endpoint) {
        let Ok(mut requests) = endpoint.incoming_transactions() else { return };
        let serving = tokio::spawn(async move { endpoint.serve().await });
        let free = Arc::new(Semaphore::new(REQUESTS_MAX));
        // Whoever holds the dialogs holds the other end of the requests, so they do not end.
        while let Some(Some(mut request)) = self.stop.run_until_cancelled(requests.recv()).await {
            let Ok(permit) = Arc::clone(&free).try_acquire_owned() else {
                let _told = request.reply(StatusCode::ServiceUnavailable).await;
                continue;
            };
            match self.take(request).await {
                Ok(Some((mut dialog, mut request))) => {
                    tokio::spawn(async move {
                        let _handled = dialog.handle(&mut request).await;
                        drop(permit);
                    });
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a SIP request was not taken"),
            }
        }
        serving.abort();
    }

    /// Gives what there is to do for a request of a call.
    async fn take(
        &self,
        mut request: Transaction,
    ) -> rsipstack::Result<Option<(rsipstack::dialog::dialog::Dialog, Transaction)>> {
        let is_in_call = request.original.to_header()?.tag()?.is_some();
        if is_in_call {
            if let Some(dialog) = self.dialogs.match_dialog(&request) {
                return Ok(Some((dialog, request)));
            }
            request.reply(StatusCode::CallTransactionDoesNotExist).await?;
            return Ok(None);
        }
        match request.original.method {
            Method::Invite => {}
            Method::Options => {
                request.reply(StatusCode::OK).await?;
                return Ok(None);
            }
            _ => {
                request.reply(StatusCode::MethodNotAllowed).await?;
                return Ok(None);
            }
        }
        let (Ok(permit), Ok(place)) =
            (Arc::clone(&self.calls).try_acquire_owned(), self.tell.try_reserve())
        else {
            request.reply(StatusCode::BusyHere).await?;
            return Ok(None);
        };
        let user = |uri: &Uri| uri.auth.as_ref().map(|auth| auth.user.clone()).unwrap_or_default();
        let called = user(&request.original.uri);
        let caller = user(&request.original.from_header()?.typed()?.uri);
        let call_id = request.original.call_id_header()?.value().to_string();
        let offer = sdp::read(&request.original.body);
        let (tell, states) = self.dialogs.new_dialog_state_channel();
        let contact = Uri {
            scheme: Some(Scheme::Sip),
            host_with_port: self.settings.listen.into(),
            ..Uri::default()
        };
        let dialog =
            self.dialogs.get_or_create_server_invite(&request, tell, None, Some(contact))?;
        place.send(Incoming {
            called,
            caller,
            call_id,
            offer,
            dialog: dialog.clone(),
            states,
            dialogs: Arc::clone(&self.dialogs),
            settings: self.settings.clone(),
            permit,
        });
        Ok(Some((rsipstack::dialog::dialog::Dialog::Invite(dialog), request)))
    }
}

const SDP: &str = "application/sdp";

fn sdp_header() -> Vec<Header> {
    vec![Header::ContentType(SDP.into())]
}

/// A port for the packets of a call.
async fn media_socket(address: IpAddr, ports: &RangeInclusive<u16>) -> io::Result<UdpSocket> {
    let mut last = io::Error::other("there are no ports for the packets of calls");
    for _ in 0..PORTS_TRIED {
        let port = fastrand::u16(ports.clone());
        match UdpSocket::bind((address, port)).await {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}
