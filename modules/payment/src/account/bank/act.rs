//! What each request does.

use semper_core::amount::Amount;
use semper_core::cbor::Decode;
use semper_core::domain;
use semper_core::hash::Digest;
use semper_core::ids::KeySetId;
use semper_core::party::KeySet;
use semper_core::signature::{Verified, verify};
use semper_core::time::Time;
use semper_transfer::payment::means::Fees;
use semper_transfer::payment::statement::{PaymentOrder, Release, Side};

use super::ledger::{
    Account, BOOKINGS, Hold, INSTRUCTIONS, LINES, Leg, OWNERS, REFERENCES, Work, booking_key, change, damaged, fees,
    line_key, owner_key, reference_key, unread,
};
use super::{Authorisation, Bank, Booking, HoldState, Opening, Said, answer_key};
use crate::account::SYSTEM;
use crate::account::answer::{AccountStatement, Line, What};
use crate::account::number::AccountNumber;
use crate::account::payment::{Capture, Condition, Instruction, Level, Token};
use crate::account::problem::{ProblemKind, Refusal};
use crate::account::request::{AccountRequest, Action, Rest};

/// How many numbers are tried for a new account.
const NUMBERS_MAX: usize = 24;
/// Lines that are looked at for one statement.
const PAGE: usize = 100;

impl Bank {
    /// Carries a request out on `work`.
    pub(super) async fn act(&self, work: &mut Work<'_>, request: &Verified<AccountRequest>) -> Result<Said, Refusal> {
        let said = request.statement();
        let entry = *request.id().digest();
        if let Action::Open { .. } = said.action {
            return self.open(work, request).await;
        }
        let account = said.account.ok_or_else(|| ProblemKind::Malformed.because("no account"))?;
        match &said.action {
            Action::Transfer { amount, to, reference, fee_most } => {
                self.transfer(work, account, entry, *amount, *to, reference, *fee_most).await
            }
            Action::Authorise { token, capture } => {
                let hold = self.authorise(work, account, token, capture.is_some()).await?;
                match capture {
                    None => Ok(self.authorisation(work, &hold)),
                    Some(amount) => self.capture(work, account, hold.id, entry, *amount, Rest::Release).await,
                }
            }
            Action::Capture { hold, amount, rest } => self.capture(work, account, *hold, entry, *amount, *rest).await,
            Action::Void { hold } => {
                let hold = self.held_for(work, account, hold).await?;
                let hold = work.close(unconditional(hold)?, HoldState::Void).await?;
                Ok(self.authorisation(work, &hold))
            }
            Action::Settle { hold, release } => {
                let hold = known(work.hold(hold).await?)?;
                let name = account.digits();
                if name != hold.payer && name != hold.payee {
                    return Err(ProblemKind::UnknownHold.because("it is neither paid from nor to this account"));
                }
                let release = self.release(&hold, release)?;
                self.settle(work, hold, entry, &release).await
            }
            Action::Revoke { hold } => self.revoke(work, account, *hold).await,
            Action::Refund { hold, amount } => self.refund(work, account, hold, entry, *amount).await,
            _ => Err(ProblemKind::Malformed.because("the request asks, it does not decide")),
        }
    }

    async fn open(&self, work: &mut Work<'_>, request: &Verified<AccountRequest>) -> Result<Said, Refusal> {
        let Action::Open { currency, key_set, certificates, verifier } = &request.statement().action else {
            return Err(ProblemKind::Malformed.because("not an opening"));
        };
        if !self.rules.currencies.contains(currency) {
            return Err(ProblemKind::WrongCurrency.because(format!("this bank keeps no accounts in {currency}")));
        }
        let certified = self.certified(certificates, key_set, work.now)?;
        let context = Action::verifier_context(self.id);
        let key = self.parts.open.open(&context, verifier).map_err(|e| ProblemKind::BadToken.because(e))?;
        let key = <[u8; 32]>::try_from(key.as_slice());
        let key = key.map_err(|_| ProblemKind::BadToken.because("the key of the MACs has 32 bytes"))?;
        let number = free_number(work, request.id().as_bytes()).await?;
        let owner = Some(key_set.clone());
        let account = Account { owner, verifier: Some(key), certified, ..Account::own(*currency, work.now) };
        let statement = self.page(request.statement(), number, &account, work.now, &[], 0, None);
        let first = owner_key(key_set.id(), *currency);
        if self.parts.archive.fact(OWNERS, &first).await.map_err(unread)?.is_none() {
            work.once(OWNERS, first, number.digits().into_bytes());
        }
        work.open(number.digits(), account);
        Ok(Said::Draft(self.draft(&statement)))
    }

    /// The certified name of whoever opens an account, as the bank's policy demands one.
    fn certified(&self, chain: &[Vec<u8>], key_set: &KeySet, now: Time) -> Result<Option<String>, Refusal> {
        let check = |certify: &dyn super::Certify| certify.certified(chain, key_set.id(), now);
        match &self.parts.opening {
            Opening::Certified(certify) => {
                check(&**certify).map(Some).map_err(|why| ProblemKind::NotCertified.because(why))
            }
            Opening::Anyone(Some(certify)) if !chain.is_empty() => Ok(check(&**certify).ok()),
            Opening::Anyone(_) => Ok(None),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one transfer")]
    async fn transfer(
        &self,
        work: &mut Work<'_>,
        from: AccountNumber,
        entry: Digest,
        amount: Amount,
        to: AccountNumber,
        reference: &str,
        fee_most: Amount,
    ) -> Result<Said, Refusal> {
        self.check_amount(amount)?;
        let (from, name) = (from.digits(), to.digits());
        let payer = work.known(&from).await?;
        check_currency(payer, amount)?;
        check_thawed(payer)?;
        let payee = if from == name { None } else { work.account(&name).await? };
        let unknown = || ProblemKind::UnknownPayee.because(format!("{to} is not another account of this bank"));
        let payee = payee.ok_or_else(unknown)?;
        check_currency(payee, amount)?;
        let owner = payee.owner.as_ref().map(KeySet::id).ok_or_else(unknown)?;
        let fee = self.fee(amount, fee_most)?;
        let reference = (!reference.is_empty()).then_some(reference);
        let parts = Parts { entry, payer: &from, payee: &name, amount, fee, reference, order: None };
        move_money(work, &parts, What::Transfer).await?;
        Ok(Said::Draft(self.draft(&Booking {
            issuer: self.rules.issuer.clone(),
            what: What::Transfer,
            entry,
            amount,
            payee: owner,
            time: work.now,
            reference: reference.map(str::to_owned),
            order: None,
            hold: None,
            account: Some(to),
        })))
    }

    /// Makes a hold of a payer's token, or finds the one that it became. What is wrong with the payer's account is not told.
    /// Holds what a token says, for the payee or for the arbiter of its condition. The latter may also ask how it was settled.
    async fn authorise(
        &self,
        work: &mut Work<'_>,
        by: AccountNumber,
        token: &Token,
        to_capture: bool,
    ) -> Result<Hold, Refusal> {
        let id = token.hold();
        let by_keys = work.known(&by.digits()).await?.owner.as_ref().map(KeySet::id);
        let is_arbiter = |condition: Option<&Condition>| condition.is_some_and(|c| Some(c.arbiter.id()) == by_keys);
        if let Some(hold) = work.hold(&id).await? {
            let again = hold.payee == by.digits() && hold.state == HoldState::Held && !to_capture;
            let may = again || (is_arbiter(hold.condition.as_ref()) && !to_capture);
            return if may { Ok(hold) } else { Err(ProblemKind::TokenUsed.because(hold.state.name())) };
        }
        let Opened { instruction, mac, digest } = self.instruction(token)?;
        let name = if by_keys == Some(instruction.payee) {
            by.digits()
        } else if is_arbiter(instruction.condition.as_ref()) && !to_capture {
            self.first_account(instruction.payee, instruction.amount).await?
        } else {
            return Err(ProblemKind::BadToken.because("it is for another payee"));
        };
        let owner = work.known(&name).await?.clone();
        if self.parts.archive.fact(INSTRUCTIONS, digest.as_bytes()).await.map_err(unread)?.is_some() {
            return Err(ProblemKind::TokenUsed.because("under another seal"));
        }
        let declined = || ProblemKind::Declined.because("the payer's account does not allow this payment");
        let payer_name = instruction.account.digits();
        let payer = work.account(&payer_name).await?.ok_or_else(declined)?.clone();
        self.authentic(&payer, &instruction, mac.as_deref(), token)?;
        if work.now >= instruction.authorise_before {
            return Err(
                ProblemKind::TokenExpired.because(format!("it was good until {}", instruction.authorise_before))
            );
        }
        self.check_terms(&instruction, &owner, &payer, work.now)?;
        let hold = Hold {
            id,
            payer: payer_name,
            payee: name,
            payee_owner: instruction.payee,
            order: instruction.order,
            amount: instruction.amount,
            fees: self.rules.fees,
            captured: 0,
            charged: 0,
            refunded: 0,
            bookings: 0,
            expires: instruction.held_until,
            state: HoldState::Held,
            condition: instruction.condition,
            last_capture: Time::from_unix(0),
            capture: instruction.capture,
        };
        let reserved = hold.reserved()?;
        let most = reserved - hold.amount.minor();
        if payer.frozen || payer.currency != hold.amount.currency() || instruction.fee_most.minor() < most {
            return Err(declined());
        }
        work.reserve(&hold.payer, reserved).await.map_err(|refusal| match refusal.kind {
            ProblemKind::Insufficient => declined(),
            _ => refusal,
        })?;
        work.once(INSTRUCTIONS, digest.as_bytes().to_vec(), id.as_bytes().to_vec());
        work.put(hold.clone());
        Ok(hold)
    }

    /// Where a payee is paid that has not said it itself.
    async fn first_account(&self, owner: KeySetId, amount: Amount) -> Result<String, Refusal> {
        let name = self.parts.archive.fact(OWNERS, &owner_key(owner, amount.currency())).await.map_err(unread)?;
        let name = name.and_then(|name| String::from_utf8(name).ok());
        name.ok_or_else(|| ProblemKind::BadToken.because("its payee has no account here in this currency"))
    }

    /// Opens a token and checks that order and instruction fit together: the dual signature's two halves.
    fn instruction(&self, token: &Token) -> Result<Opened, Refusal> {
        let bad = |why: &str| ProblemKind::BadToken.because(why);
        let order = &token.order;
        if order.system.as_str() != SYSTEM || order.issuer != self.rules.issuer {
            return Err(bad("the order is for another bank"));
        }
        let context = Instruction::context(self.id);
        let plain = self.parts.open.open(&context, &token.sealed).map_err(|_| bad("it does not open here"))?;
        let (instruction, mac) = Instruction::read(&plain).map_err(|e| ProblemKind::BadToken.because(e))?;
        if instruction.order != order.order || instruction.amount != order.amount {
            return Err(bad("order and instruction do not fit together"));
        }
        Ok(Opened { instruction, mac, digest: Digest::of(domain::INSTRUCTION, &plain) })
    }

    /// Whether the owner of the payer's account gave the instruction.
    fn authentic(
        &self,
        payer: &Account,
        instruction: &Instruction,
        mac: Option<&[u8]>,
        token: &Token,
    ) -> Result<(), Refusal> {
        let bad = || ProblemKind::BadToken.because("the payer's authentication is wrong");
        let (Some(owner), Some(key)) = (&payer.owner, &payer.verifier) else { return Err(bad()) };
        match (instruction.level, mac, &token.signature) {
            (Level::One | Level::Two, Some(mac), None) if instruction.is_authentic(key, mac) => Ok(()),
            (Level::Three, None, Some(signed)) => {
                verify::<PaymentOrder>(&*self.parts.verify, owner, signed).map(drop).map_err(|_| bad())
            }
            _ => Err(bad()),
        }
    }

    /// Levels, limits and times of an instruction.
    fn check_terms(
        &self,
        instruction: &Instruction,
        payee: &Account,
        payer: &Account,
        now: Time,
    ) -> Result<(), Refusal> {
        self.check_amount(instruction.amount)?;
        check_currency(payee, instruction.amount)?;
        let level = instruction.level;
        let lacking = (level >= Level::Two && payee.certified.is_none())
            || (level == Level::Three && payer.certified.is_none())
            || !self.rules.levels.contains(&level);
        if lacking {
            return Err(ProblemKind::LevelRefused.because(format!("level {}", level.number())));
        }
        if instruction.held_until <= now || instruction.held_until > now.after(self.rules.hold_longest) {
            return Err(ProblemKind::BadToken.because("the money cannot be held until then"));
        }
        let condition = instruction.condition.as_ref();
        if condition.is_some_and(|c| c.tag != instruction.order || c.payee.id() != instruction.payee) {
            return Err(ProblemKind::BadToken.because("the condition is for another lock or payee"));
        }
        Ok(())
    }

    /// A hold whose money this account may take now.
    async fn held_for(&self, work: &mut Work<'_>, payee: AccountNumber, id: &Digest) -> Result<Hold, Refusal> {
        let hold = known(work.hold(id).await?)?;
        if hold.payee != payee.digits() || hold.state == HoldState::Revoked {
            return Err(ProblemKind::UnknownHold.because("it is not for this account"));
        }
        held(hold)
    }

    async fn capture(
        &self,
        work: &mut Work<'_>,
        payee: AccountNumber,
        id: Digest,
        entry: Digest,
        amount: Amount,
        rest: Rest,
    ) -> Result<Said, Refusal> {
        let hold = unconditional(self.held_for(work, payee, &id).await?)?;
        if hold.capture == Capture::Whole && amount != hold.amount {
            let reason = format!("the payer pays {} or nothing", hold.amount);
            return Err(ProblemKind::Limits.because(reason));
        }
        self.take(work, hold, entry, amount, rest).await
    }

    /// Moves money of a hold to the payee.
    async fn take(
        &self,
        work: &mut Work<'_>,
        mut hold: Hold,
        entry: Digest,
        amount: Amount,
        rest: Rest,
    ) -> Result<Said, Refusal> {
        if amount.currency() != hold.amount.currency() {
            return Err(ProblemKind::WrongCurrency.because(format!("the hold is in {}", hold.amount.currency())));
        }
        let left = hold.amount.minor() - hold.captured;
        if amount.minor() == 0 || amount.minor() > left {
            return Err(ProblemKind::TooMuch.because(format!("{left} minor units are held")));
        }
        let before = hold.reserved()?;
        hold.captured += amount.minor();
        let fee = hold.fee_for(hold.captured)? - hold.charged;
        hold.charged += fee;
        let number = hold.bookings;
        hold.bookings += 1;
        hold.last_capture = work.now;
        let payer = hold.payer.clone();
        work.let_go(&payer, before - hold.reserved()?).await?;
        work.put(hold.clone());
        let fee = Amount::new(fee, amount.currency()).map_err(|e| ProblemKind::Limits.because(e))?;
        let (payee, order) = (hold.payee.clone(), Some(hold.order));
        let parts = Parts { entry, payer: &payer, payee: &payee, amount, fee, reference: None, order };
        move_money(work, &parts, What::Payment).await?;
        if rest == Rest::Release || hold.captured == hold.amount.minor() {
            hold = work.close(hold, HoldState::Captured).await?;
        }
        Ok(self.hold_booking(work, &hold, entry, amount, What::Payment, number))
    }

    /// Whether a release decides over a hold, by the signature of somebody who may.
    fn release(&self, hold: &Hold, signed: &semper_core::cose::Signed) -> Result<Release, Refusal> {
        let bad = |why: &str| ProblemKind::BadRelease.because(why);
        let condition = hold.condition.as_ref().ok_or_else(|| bad("the hold has no condition"))?;
        let release = Release::from_bytes(signed.payload()).map_err(|e| ProblemKind::BadRelease.because(e))?;
        let other = match release.to {
            Side::Payee => &condition.payer,
            Side::Payer => &condition.payee,
        };
        let signer = [other, &condition.arbiter].into_iter().find(|keys| keys.id() == signed.signer());
        let signer = signer.ok_or_else(|| bad("whoever signed it may not decide this way"))?;
        verify::<Release>(&*self.parts.verify, signer, signed).map_err(|e| ProblemKind::BadRelease.because(e))?;
        if release.tag != condition.tag || release.issuer != self.rules.issuer {
            return Err(bad("it is for another lock or bank"));
        }
        if release.amount.currency() != hold.amount.currency() || release.amount.minor() > hold.amount.minor() {
            return Err(bad("it is about more than is held, or another currency"));
        }
        Ok(release)
    }

    /// Carries a release out: its amount to its side, the rest to the other. Once: the hold is over then.
    async fn settle(&self, work: &mut Work<'_>, hold: Hold, entry: Digest, release: &Release) -> Result<Said, Refusal> {
        let hold = held(hold)?;
        let to_payee = match release.to {
            Side::Payee => release.amount.minor(),
            Side::Payer => hold.amount.minor() - release.amount.minor(),
        };
        if to_payee == 0 {
            let hold = work.close(hold, HoldState::Void).await?;
            return Ok(self.authorisation(work, &hold));
        }
        let amount = Amount::new(to_payee, hold.amount.currency()).map_err(|e| ProblemKind::Limits.because(e))?;
        self.take(work, hold, entry, amount, Rest::Release).await
    }

    /// Takes back an instruction that was not handed in: it becomes a hold of nothing, so that it can become no other.
    async fn revoke(&self, work: &mut Work<'_>, payer: AccountNumber, id: Digest) -> Result<Said, Refusal> {
        let name = payer.digits();
        if let Some(hold) = work.hold(&id).await? {
            return match hold.state {
                HoldState::Revoked => Ok(self.authorisation(work, &hold)),
                _ if hold.payer != name => Err(ProblemKind::UnknownHold.because("it is not paid from this account")),
                HoldState::Held => Err(ProblemKind::StillHeld.because(format!("until {}", hold.expires))),
                _ => Ok(self.authorisation(work, &hold)),
            };
        }
        let account = work.known(&name).await?;
        let owner = account.owner.as_ref().map(KeySet::id);
        let owner = owner.ok_or_else(|| ProblemKind::NotOwner.because("not a customer's account"))?;
        let nothing = Amount::new(0, account.currency).map_err(|e| ProblemKind::Limits.because(e))?;
        let hold = Hold {
            id,
            payer: name.clone(),
            payee: name,
            payee_owner: owner,
            order: id,
            amount: nothing,
            fees: Fees::default(),
            captured: 0,
            charged: 0,
            refunded: 0,
            bookings: 0,
            expires: work.now,
            state: HoldState::Revoked,
            condition: None,
            last_capture: Time::from_unix(0),
            capture: Capture::Whole,
        };
        work.put(hold.clone());
        Ok(self.authorisation(work, &hold))
    }

    async fn refund(
        &self,
        work: &mut Work<'_>,
        payee: AccountNumber,
        id: &Digest,
        entry: Digest,
        amount: Amount,
    ) -> Result<Said, Refusal> {
        let mut hold = known(work.hold(id).await?)?;
        let name = payee.digits();
        if hold.payee != name || hold.state == HoldState::Revoked {
            return Err(ProblemKind::UnknownHold.because("it is not for this account"));
        }
        if amount.currency() != hold.amount.currency() {
            return Err(ProblemKind::WrongCurrency.because(format!("the hold is in {}", hold.amount.currency())));
        }
        let left = hold.captured - hold.refunded;
        if amount.minor() == 0 || amount.minor() > left {
            return Err(ProblemKind::TooMuch.because(format!("{left} minor units can be given back")));
        }
        if work.now > hold.last_capture.after(self.rules.refund_window) {
            return Err(ProblemKind::RefundOver.because(format!("the money was taken on {}", hold.last_capture)));
        }
        check_thawed(work.known(&name).await?)?;
        hold.refunded += amount.minor();
        let number = hold.bookings;
        hold.bookings += 1;
        let fee = Amount::new(0, amount.currency()).map_err(|e| ProblemKind::Limits.because(e))?;
        let (payer, order) = (hold.payer.clone(), Some(hold.order));
        let parts = Parts { entry, payer: &name, payee: &payer, amount, fee, reference: None, order };
        move_money(work, &parts, What::Refund).await?;
        work.put(hold.clone());
        Ok(self.hold_booking(work, &hold, entry, amount, What::Refund, number))
    }

    /// Answers what only asks.
    pub(super) async fn look_up(&self, request: &Verified<AccountRequest>) -> Result<Vec<u8>, Refusal> {
        let said = request.statement();
        let number = said.account.ok_or_else(|| ProblemKind::Malformed.because("no account"))?;
        let mut work = Work::new(&*self.parts.archive, self.now());
        let draft = match &said.action {
            Action::Status { request: id } => {
                let stands = self.stored(&answer_key(request.signer(), id)).await?;
                return stands.map_or_else(|| Err(ProblemKind::UnknownRequest.because("nothing was done")), |a| a.said);
            }
            Action::Booking { hold, number: index } => {
                self.hold_of(&mut work, number, hold).await?;
                let bytes = self.parts.archive.fact(BOOKINGS, &booking_key(hold, *index)).await.map_err(unread)?;
                return bytes.ok_or_else(|| ProblemKind::UnknownHold.because("there is no such booking of it"));
            }
            Action::Hold { hold } => {
                let hold = self.hold_of(&mut work, number, hold).await?;
                self.draft(&hold.authorisation(&self.rules.issuer, work.now))
            }
            Action::Statement { from, most } => self.lines(&mut work, said, number, *from, *most).await?,
            Action::Find { reference, from, most } => {
                self.find(&mut work, said, number, reference, *from, *most).await?
            }
            _ => return Err(ProblemKind::Malformed.because("the request decides, it does not ask")),
        };
        self.signed(draft).await
    }

    /// A hold that this account pays or is paid by.
    async fn hold_of(&self, work: &mut Work<'_>, account: AccountNumber, id: &Digest) -> Result<Hold, Refusal> {
        let (hold, name) = (known(work.hold(id).await?)?, account.digits());
        if hold.payer == name || hold.payee == name {
            Ok(hold)
        } else {
            Err(ProblemKind::UnknownHold.because("it is neither paid from nor to this account"))
        }
    }

    async fn lines(
        &self,
        work: &mut Work<'_>,
        request: &AccountRequest,
        number: AccountNumber,
        from: u64,
        most: u64,
    ) -> Result<semper_core::cose::Draft, Refusal> {
        let name = number.digits();
        let account = work.known(&name).await?.clone();
        let until = account.lines.min(from.saturating_add(most.min(PAGE as u64)));
        let mut lines = Vec::new();
        for number in from..until {
            lines.push(self.line(&name, number).await?);
        }
        let next = (until < account.lines && until > from).then_some(until);
        // Before the first line of an empty page stands what the account holds after its last.
        let last = account.balance;
        let page = self.page(request, number, &account, work.now, &lines, last, next);
        Ok(self.draft(&page))
    }

    async fn find(
        &self,
        work: &mut Work<'_>,
        request: &AccountRequest,
        number: AccountNumber,
        reference: &str,
        from: u64,
        most: u64,
    ) -> Result<semper_core::cose::Draft, Refusal> {
        let name = number.digits();
        let account = work.known(&name).await?.clone();
        let most = usize::try_from(most).unwrap_or(PAGE).min(PAGE);
        let after = from.checked_sub(1).map(|before| reference_key(&name, reference, before));
        let prefix = reference_key(&name, reference, 0);
        let prefix = &prefix[..prefix.len() - 8];
        let after = after.unwrap_or_else(|| prefix.to_vec());
        let found = self.parts.archive.facts(REFERENCES, Some(&after), most + 1).await.map_err(unread)?;
        let numbers = found.iter().map_while(|fact| fact.key.strip_prefix(prefix));
        let numbers: Vec<u64> = numbers.filter_map(|n| n.try_into().ok().map(u64::from_be_bytes)).collect();
        let mut lines = Vec::new();
        for number in numbers.iter().take(most) {
            lines.push(self.line(&name, *number).await?);
        }
        let page = self.page(request, number, &account, work.now, &lines, account.balance, numbers.get(most).copied());
        Ok(self.draft(&page))
    }

    async fn line(&self, name: &str, number: u64) -> Result<Line, Refusal> {
        let bytes = self.parts.archive.fact(LINES, &line_key(name, number)).await.map_err(unread)?;
        let Some(bytes) = bytes else {
            tracing::error!(name, number, "a line of an account is missing");
            return Err(ProblemKind::Busy.because("the bank's storage is damaged"));
        };
        Line::from_bytes(&bytes).map_err(damaged)
    }

    #[allow(clippy::too_many_arguments, reason = "the parts of one statement of account")]
    fn page(
        &self,
        request: &AccountRequest,
        number: AccountNumber,
        account: &Account,
        now: Time,
        lines: &[Line],
        empty: i64,
        next: Option<u64>,
    ) -> AccountStatement {
        AccountStatement {
            issuer: self.rules.issuer.clone(),
            account: number,
            request: request.id,
            time: now,
            currency: account.currency,
            balance: account.balance,
            held: account.held,
            opening: lines.first().map_or(empty, |line| line.balance.saturating_sub(line.change)),
            closing: lines.last().map_or(empty, |line| line.balance),
            lines: lines.to_vec(),
            total: account.lines,
            next,
            level: if account.certified.is_some() { Level::Three } else { Level::One },
        }
    }

    fn authorisation(&self, work: &Work<'_>, hold: &Hold) -> Said {
        let authorisation: Authorisation = hold.authorisation(&self.rules.issuer, work.now);
        Said::Draft(self.draft(&authorisation))
    }

    fn hold_booking(
        &self,
        work: &Work<'_>,
        hold: &Hold,
        entry: Digest,
        amount: Amount,
        what: What,
        number: u64,
    ) -> Said {
        let booking = Booking {
            issuer: self.rules.issuer.clone(),
            what,
            entry,
            amount,
            payee: hold.payee_owner,
            time: work.now,
            reference: None,
            order: Some(hold.order),
            hold: Some(hold.id),
            account: None,
        };
        Said::HoldBooking { draft: self.draft(&booking), hold: hold.id, number }
    }

    fn check_amount(&self, amount: Amount) -> Result<(), Refusal> {
        let limits = self.rules.limits;
        if amount.minor() > 0 && (limits.least..=limits.most).contains(&amount.minor()) {
            return Ok(());
        }
        Err(ProblemKind::Limits.because(format!("{} to {} minor units at once", limits.least, limits.most)))
    }

    fn fee(&self, amount: Amount, most: Amount) -> Result<Amount, Refusal> {
        let fee = self.rules.fees.of(amount).map_err(|e| ProblemKind::Limits.because(e))?;
        if fee.minor() > most.minor() || most.currency() != amount.currency() {
            return Err(ProblemKind::Fee.because(format!("it costs {fee}")));
        }
        Ok(fee)
    }
}

/// A token's instruction, opened.
struct Opened {
    instruction: Instruction,
    mac: Option<Vec<u8>>,
    /// Names the instruction under whatever seal.
    digest: Digest,
}

/// One movement from account to account.
struct Parts<'a> {
    entry: Digest,
    payer: &'a str,
    payee: &'a str,
    amount: Amount,
    fee: Amount,
    reference: Option<&'a str>,
    order: Option<Digest>,
}

async fn move_money(work: &mut Work<'_>, parts: &Parts<'_>, what: What) -> Result<(), Refusal> {
    let Parts { entry, payer, payee, amount, fee, reference, order } = *parts;
    let (amount, currency) = (change(amount.minor())?, amount.currency());
    let (fee, fees) = (change(fee.minor())?, fees(currency));
    if fee > 0 && work.account(&fees).await?.is_none() {
        work.open(fees.clone(), Account::own(currency, work.now));
    }
    let leg = |account, change, what| Leg { account, change, what, reference, order };
    let legs = [
        leg(payer, -amount, what),
        leg(payee, amount, what),
        Leg { reference: None, ..leg(payer, -fee, What::Fee) },
        Leg { reference: None, ..leg(&fees, fee, What::Fee) },
    ];
    work.post(entry, &legs).await
}

/// A free account number. It follows from the request, so that nothing random is needed to decide.
async fn free_number(work: &mut Work<'_>, seed: &[u8; 32]) -> Result<AccountNumber, Refusal> {
    for window in seed.windows(8).take(NUMBERS_MAX) {
        let body = u64::from_be_bytes(window.try_into().expect("a window of 8 bytes"));
        let number = AccountNumber::from_body(body);
        if work.account(&number.digits()).await?.is_none() {
            return Ok(number);
        }
    }
    Err(ProblemKind::Busy.because("no account number is free"))
}

fn known(hold: Option<Hold>) -> Result<Hold, Refusal> {
    hold.ok_or_else(|| ProblemKind::UnknownHold.because("no token became it"))
}

fn held(hold: Hold) -> Result<Hold, Refusal> {
    if hold.state == HoldState::Held { Ok(hold) } else { Err(ProblemKind::NotHeld.because(hold.state.name())) }
}

fn unconditional(hold: Hold) -> Result<Hold, Refusal> {
    match hold.condition {
        None => Ok(hold),
        Some(_) => Err(ProblemKind::Conditional.because("neither side moves it alone")),
    }
}

fn check_currency(account: &Account, amount: Amount) -> Result<(), Refusal> {
    if account.currency == amount.currency() {
        return Ok(());
    }
    Err(ProblemKind::WrongCurrency.because(format!("the account is kept in {}", account.currency)))
}

fn check_thawed(account: &Account) -> Result<(), Refusal> {
    if account.frozen { Err(ProblemKind::Frozen.because("nothing leaves it")) } else { Ok(()) }
}
