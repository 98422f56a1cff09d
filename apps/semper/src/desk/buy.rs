//! Buying what a link offers: look at it, fetch it, order it. Nothing is paid before the holder of the keys has shown the contract.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};
use semper_commerce::access::AccessOffer;
use semper_commerce::offer::{ArbiterOffer, Offer};
use semper_commerce::right::RightOffer;
use semper_core::amount::Amount;
use semper_core::ids::{DealId, KeySetId, StatementId};
use semper_core::text::escape;
use semper_core::time::{Seconds, Time};
use semper_exchange::goods::Descriptor;
use semper_pages::{Language, names};
use serde::Deserialize;

use super::{Desk, Failure, Page, Reader, shown, wallet};
use crate::control::BuyOrder;
use crate::home::Home;
use crate::sale::{self, Found, FoundAccess, FoundRight};
use crate::{now, shop};

/// Most offers that are looked at at once; the oldest that is not being fetched goes first.
const BASKETS_MAX: usize = 16;
/// How often an open page is told how far the goods have come.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What is looked at or being fetched, in memory only: whoever opens the link again goes on with the goods that are here.
#[derive(Default)]
pub(super) struct Baskets(Mutex<BTreeMap<StatementId, Arc<Basket>>>);

/// One offer that somebody may take up.
struct Basket {
    found: Wanted,
    since: Instant,
    /// How many bytes of the goods are here.
    done: AtomicU64,
    stage: Mutex<Stage>,
}

/// What a link has led to.
enum Wanted {
    /// Goods for money.
    Goods(Found),
    /// Goods for the show of a right.
    Access(FoundAccess),
    /// A right for money.
    Right(FoundRight),
}

/// How far a purchase is, before it is a deal.
#[derive(Clone)]
enum Stage {
    Seen,
    Fetching,
    Ordered(DealId),
    Failed(String),
}

impl Baskets {
    fn put(&self, basket: Basket) -> Result<StatementId, Failure> {
        let (id, mut known) = (basket.found.id(), lock(&self.0));
        let busy = |basket: &Basket| matches!(*lock(&basket.stage), Stage::Fetching);
        if known.get(&id).is_some_and(|known| busy(known)) {
            return Ok(id);
        }
        if known.len() >= BASKETS_MAX && !known.contains_key(&id) {
            let idle = known.iter().filter(|(_, basket)| !busy(basket));
            let oldest = idle.min_by_key(|(_, basket)| basket.since).map(|(id, _)| *id);
            known.remove(&oldest.ok_or_else(|| Failure::refused("error-busy", ""))?);
        }
        known.insert(id, Arc::new(basket));
        Ok(id)
    }

    fn get(&self, id: &str) -> Result<Arc<Basket>, Failure> {
        let known = StatementId::parse(id).and_then(|id| lock(&self.0).get(&id).cloned());
        known.ok_or_else(|| Failure::missing("not-in-basket", String::new()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Wanted {
    fn id(&self) -> StatementId {
        match self {
            Self::Goods(found) => found.offer.id(),
            Self::Access(found) => found.offer.id(),
            Self::Right(found) => found.offer.id(),
        }
    }

    /// Who offers it: its name for itself, and its key.
    fn owner(&self) -> (&str, KeySetId) {
        match self {
            Self::Goods(found) => (&found.offer.statement().seller, found.seller.id()),
            Self::Access(found) => (&found.offer.statement().owner, found.seller.id()),
            Self::Right(found) => (&found.offer.statement().seller, found.seller.id()),
        }
    }

    /// What is fetched before it is ordered; a right is not.
    fn goods(&self) -> Option<&Descriptor> {
        match self {
            Self::Goods(found) => Some(&found.offer.statement().goods),
            Self::Access(found) => Some(&found.offer.statement().goods),
            Self::Right(_) => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Right(found) => found.offer.statement().credential().map(|held| held.right).unwrap_or_default(),
            _ => self.goods().map(|goods| goods.name().to_owned()).unwrap_or_default(),
        }
    }

    fn price(&self) -> Option<Amount> {
        match self {
            Self::Goods(found) => Some(found.offer.statement().price),
            Self::Access(_) => None,
            Self::Right(found) => Some(found.offer.statement().price),
        }
    }

    fn until(&self) -> Time {
        match self {
            Self::Goods(found) => found.offer.statement().until,
            Self::Access(found) => found.offer.statement().until,
            Self::Right(found) => found.offer.statement().until,
        }
    }

    fn arbiters(&self) -> &[ArbiterOffer] {
        match self {
            Self::Goods(found) => &found.offer.statement().arbiters,
            Self::Access(found) => &found.offer.statement().arbiters,
            Self::Right(found) => &found.offer.statement().arbiters,
        }
    }

    /// Terms and law, in words.
    fn terms(&self) -> (&str, &str) {
        match self {
            Self::Goods(found) => (&found.offer.statement().terms, &found.offer.statement().law),
            Self::Access(_) => ("", ""),
            Self::Right(found) => (&found.offer.statement().terms, &found.offer.statement().law),
        }
    }

    async fn fetch(&self, progress: impl FnMut(u64)) -> anyhow::Result<()> {
        match self {
            Self::Goods(found) => found.fetch(progress).await,
            Self::Access(found) => found.fetch(progress).await,
            Self::Right(_) => Ok(()),
        }
    }

    fn order(&self, choice: Choice, locale: &str) -> anyhow::Result<BuyOrder> {
        let beside = FilePath::new("");
        let order = match self {
            Self::Goods(found) => found.order(beside)?,
            Self::Access(found) => found.order(beside, &choice.credential)?,
            Self::Right(found) => found.order(),
        };
        let no_arbiter = choice.trust.is_some();
        Ok(BuyOrder { arbiter: choice.arbiter, no_arbiter, locale: locale.to_owned(), ..order })
    }
}

#[derive(Deserialize)]
pub(super) struct Pasted {
    link: String,
}

/// What the buyer has chosen.
#[derive(Deserialize)]
pub(super) struct Choice {
    #[serde(default)]
    arbiter: String,
    /// That the buyer trusts the seller where there is no arbiter.
    #[serde(default)]
    trust: Option<String>,
    #[serde(default)]
    credential: String,
}

pub(super) async fn look(State(desk): State<Arc<Desk>>, reader: Reader, Query(Pasted { link }): Query<Pasted>) -> Page {
    let found = async {
        let found = wanted(&desk.home, link.trim()).await;
        let found = found.map_err(|error| Failure::refused("error-link", format!("{error:#}")))?;
        let basket = Basket { found, since: Instant::now(), done: AtomicU64::new(0), stage: Mutex::new(Stage::Seen) };
        Ok(Redirect::to(&format!("/buy/{}", desk.baskets.put(basket)?)).into_response())
    };
    shown(&reader, found.await)
}

async fn wanted(home: &Home, link: &str) -> anyhow::Result<Wanted> {
    let page = sale::Page::at(home, link).await?;
    Ok(if page.is::<Offer>() {
        Wanted::Goods(page.read()?)
    } else if page.is::<RightOffer>() {
        Wanted::Right(page.read()?)
    } else if page.is::<AccessOffer>() {
        Wanted::Access(page.read()?)
    } else {
        anyhow::bail!("a file is wanted for it: take it up on the command line, with `semper swap`")
    })
}

pub(super) async fn show(State(desk): State<Arc<Desk>>, reader: Reader, Path(id): Path<String>) -> Page {
    shown(&reader, desk.show_basket(&reader, &id).await)
}

pub(super) async fn order(
    State(desk): State<Arc<Desk>>,
    reader: Reader,
    Path(id): Path<String>,
    Form(choice): Form<Choice>,
) -> Page {
    let begun = async {
        let basket = desk.baskets.get(&id)?;
        let order = basket.found.order(choice, reader.language.tag());
        let order = order.map_err(|error| Failure::refused("error-buy", format!("{error:#}")))?;
        let begins = {
            let mut stage = lock(&basket.stage);
            let begins = matches!(*stage, Stage::Seen | Stage::Failed(_));
            if begins {
                *stage = Stage::Fetching;
            }
            begins
        };
        if begins {
            tokio::spawn(desk.clone().take_up(basket, order));
        }
        Ok(Redirect::to(&format!("/buy/{id}")).into_response())
    };
    shown(&reader, begun.await)
}

impl Desk {
    /// Fetches what was chosen, and orders it.
    async fn take_up(self: Arc<Self>, basket: Arc<Basket>, order: BuyOrder) {
        let mut told = Instant::now();
        let progress = |done| {
            basket.done.store(done, Ordering::Relaxed);
            if told.elapsed() >= TELL_EVERY {
                told = Instant::now();
                self.progress.send_modify(|count| *count += 1);
            }
        };
        let ordered = match basket.found.fetch(progress).await {
            Ok(()) => self.ordered(order).await,
            Err(error) => Err(format!("{error:#}")),
        };
        *lock(&basket.stage) = ordered.map_or_else(Stage::Failed, Stage::Ordered);
        self.progress.send_modify(|count| *count += 1);
    }

    async fn ordered(&self, order: BuyOrder) -> Result<DealId, String> {
        let beginning = shop::buy(&self.node, order).await.map_err(|error| error.to_string())?;
        let id = beginning.deal.id();
        self.node.begin_all(vec![beginning]).await.map_err(|error| error.to_string())?;
        Ok(id)
    }

    async fn show_basket(&self, reader: &Reader, id: &str) -> Result<Response, Failure> {
        let (basket, language) = (self.baskets.get(id)?, reader.language);
        let stage = lock(&basket.stage).clone();
        let choices = match &stage {
            Stage::Seen | Stage::Failed(_) => Some(self.choices(language, &basket.found).await?),
            Stage::Fetching | Stage::Ordered(_) => None,
        };
        let known = self.node.book().by_key_set(basket.found.owner().1).await.is_ok();
        let content = html! {
            section #offer { (offer(language, &basket.found, known)) }
            section #purchase data-live="" aria-live="polite" {
                @match &stage {
                    Stage::Seen => {}
                    Stage::Failed(reason) => {
                        p.error role="alert" { (language.text("buy-failed")) }
                        p lang="en" { (escape(reason, 0)) }
                    }
                    Stage::Fetching => (fetching(language, &basket)),
                    Stage::Ordered(deal) => p.notice { (language.text("buy-ordered")) " " a href={ "/deals/" (deal) } { (language.text("buy-to-deal")) } },
                }
                @if let Some(choices) = &choices { (choices) }
            }
            p { a href="/offers" { (language.text("back-to-offers")) } }
        };
        self.page(reader, "/offers", &escape(&basket.found.name(), 0), &content).await
    }

    /// What the buyer has to choose before anything is ordered.
    async fn choices(&self, language: Language, found: &Wanted) -> Result<Markup, Failure> {
        let mut arbiters = Vec::new();
        for named in found.arbiters() {
            let contact = self.node.book().by_key_set(named.key_set).await.ok().filter(|contact| contact.arbiter);
            arbiters.extend(contact.map(|contact| contact.name));
        }
        let order = match found.price() {
            Some(price) => language.text_with("buy-for", &[("price", language.money(&price.to_string()).into())]),
            None => language.text("buy-for-right"),
        };
        let none_needed = found.arbiters().is_empty();
        Ok(html! {
            @if !none_needed && arbiters.is_empty() {
                p.warning-box { (language.text("buy-no-common-arbiter")) }
                ul { @for named in found.arbiters() { li { (names::show(language, &named.name)) " " span.code { (named.key_set) } } } }
                p { a href="/contacts" { (language.text("contacts")) } }
            } @else {
                form method="post" {
                    @if none_needed {
                        p.warning-box { (language.text("buy-without-arbiter")) }
                        div.choice {
                            input type="checkbox" id="trust" name="trust" value="yes" required;
                            label for="trust" { (language.text("buy-trust")) }
                        }
                    } @else {
                        fieldset {
                            legend { (language.text("buy-arbiter")) }
                            @for (place, name) in arbiters.iter().enumerate() {
                                div.choice {
                                    input type="radio" id={ "arbiter-" (place) } name="arbiter" value=(name) required checked[arbiters.len() == 1];
                                    label for={ "arbiter-" (place) } { (names::show(language, name)) }
                                }
                            }
                        }
                    }
                    p.soft { (language.text("buy-nothing-yet")) }
                    p.actions {
                        a.button href="/offers" { (language.text("buy-no")) }
                        button { (order) }
                    }
                }
            }
        })
    }
}

fn offer(language: Language, found: &Wanted, known: bool) -> Markup {
    let ((owner, key), until, (terms, law)) = (found.owner(), found.until(), found.terms());
    html! {
        @if until < now() { p.error { (language.text("offer-ended")) " " (language.time(until.unix())) } }
        dl.facts {
            dt { (language.text("buy-from")) }
            dd {
                (names::show(language, owner)) " " span.code { (key) }
                @if !known { p.warning-box { (language.text("buy-unknown-seller")) } }
            }
            @if let Some(goods) = found.goods() {
                dt { (language.text("goods")) }
                dd { (names::show(language, goods.name())) " " span.soft { (escape(goods.media_type(), 0)) ", " (language.size(goods.size().bytes())) } }
                @if !goods.text().is_empty() { dt { (language.text("description")) } dd { (lines(goods.text())) } }
            }
            @if let Some(price) = found.price() {
                dt { (language.text("price")) }
                dd { strong { (language.money(&price.to_string())) } }
            }
            @match found {
                Wanted::Goods(found) => {
                    @let offer = found.offer.statement();
                    dt { (language.text("paid-by")) }
                    dd { ul { @for means in &offer.means { li { (wallet::system(language, &means.system.to_string())) " · " bdi { (escape(&means.issuer, 0)) } } } } }
                    @if offer.pace.complaints > Seconds(0) {
                        dt { (language.text("complaints-for")) }
                        dd { (language.text_with("days", &[("count", (offer.pace.complaints.0 / 86_400).into())])) }
                    }
                }
                Wanted::Access(found) => {
                    @let offer = found.offer.statement();
                    dt { (language.text("right-to-show")) }
                    dd { (names::show(language, &offer.right)) }
                    dt { (language.text("right-issued-by")) }
                    dd { (names::show(language, &offer.issuer_name)) " " span.code { (offer.issuer) } }
                }
                Wanted::Right(found) => {
                    @let offer = found.offer.statement();
                    dt { (language.text("right")) }
                    dd { (names::show(language, &found_right(offer))) }
                    dt { (language.text("right-issued-by")) }
                    dd { (names::show(language, &offer.issuer_name)) " " span.code { (offer.bundle.issuer.id()) } }
                    dt { (language.text("right-uses")) }
                    dd {
                        @match offer.uses.counted() {
                            Some(count) => (language.text_with("uses-counted", &[("count", count.into())])),
                            None => (language.text("uses-freely")),
                        }
                    }
                }
            }
            dt { (language.text("offer-stands")) }
            dd { (language.time(until.unix())) }
            @if !terms.is_empty() { dt { (language.text("terms")) } dd { (lines(terms)) } }
            @if !law.is_empty() { dt { (language.text("law")) } dd { (escape(law, 0)) } }
        }
    }
}

fn found_right(offer: &RightOffer) -> String {
    offer.credential().map(|held| held.right).unwrap_or_default()
}

/// What others wrote, line by line.
fn lines(text: &str) -> Markup {
    html! { @for line in text.lines() { bdi { (escape(line, 0)) } br; } }
}

fn fetching(language: Language, basket: &Basket) -> Markup {
    let (done, total) =
        (basket.done.load(Ordering::Relaxed), basket.found.goods().map_or(0, |goods| goods.size().bytes()));
    let part = [("done", language.size(done).into()), ("total", language.size(total).into())];
    html! {
        p #fetching { (language.text_with("buy-fetching", &part)) }
        progress aria-labelledby="fetching" max=(total) value=(done) {}
        noscript { p { a href="" { (language.text("look-again")) } } }
    }
}
