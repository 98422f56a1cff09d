# The frame of a page.
skip-to-content = Skip to the content
places = Places
waiting = waiting for you
connection-lost = The connection to your node is lost. What you see may be out of date.
error-title = That did not work
error-storage = Your node cannot read or write its archive now. Nothing was changed.
error-folder = The evidence of this deal cannot be read together.
error-wallet = This was not begun. No money moved.
error-contact = The contact was not changed.
no-such-page = There is no such page.
no-such-deal = There is no such deal.
no-such-file = The deal has no such file.
no-such-operation = There is no such payment.
no-such-contact = There is no such contact.
no-such-offer = There is no such offer.
back-to-deals = Back to the deals
opening = Your desk opens
closed-title = This desk is closed
closed-why = A link opens it once, in one browser. Get a new one on your computer with this command:
name-mixes-scripts = mixes letters of several scripts
somebody = somebody with the key {$key}
nothing = Nothing.
unknown = not known
size = Size
pages = Pages

# The deal browser.
deals = Deals
deals-found = {$count ->
    [one] One deal
   *[other] {$count} deals
}
deals-cut = There are more deals than can be looked through at once, so some may be missing here. A deal with a known identifier is at /deals/ and the identifier.
page-of = Page {$page} of {$pages}
page-before = Previous page
page-after = Next page
no-deals-yet = No deals yet. They begin on the command line, or with an order for something that you offer:
search-label = Title, party or identifier
search = Search
show-label = Show
show-all = all deals
show-turn = those that wait for me
show-open = those that are open
show-good = those that ended well
show-other = those that ended otherwise
with = with
trouble = The last thing that went wrong:

# Where a deal stands.
state-signed = Signed: the contract binds both.
state-signed-by-all = Signed: the contract binds all.
state-delivered = Delivered: you have the receipt.
state-received = You have received it.
state-receipted = Paid: you have the receipt.
state-been-paid = You have been paid.
state-exchanged = Exchanged: you have the other party's money.
state-swapped = Swapped: you have the other party's file.
state-bought = Bought: the right is yours, and nobody calls it back any more.
state-sold = Sold: you have the money.
state-ended = Ended: {$words}
state-done = Done.
state-aborted = Aborted by the arbiter: nobody is bound.
state-paid-without-receipt = You have paid, and the arbiter was reached too late for the receipt. The proof of the payment is kept.
state-paid-unconfirmed = You have paid, and nobody has confirmed it in time. The right may be called back. The proof of the payment is kept.
state-nothing-paid = Ended: no money moved, and nobody is bound.
state-lapsed = Ended before anything was signed: nobody is bound.
state-unacknowledged = Sent, but not acknowledged. It may have arrived.
state-refunded = Ended: your money is back.
state-recalled = You were not paid: the right is yours again.
state-unrecalled = You were not paid, and the right could not be called back in time. What proves it is kept.
state-defective = The goods are not what was promised. The proof is among the evidence.
state-faulted = The arbiter found that your goods are not what was promised.
state-unsettled = Money is due to you, and its issuer does not give it. What proves it is kept.
state-asks = Waits for your answer.
state-missing = Waits for {$names}.
state-peer = Waits for {$peer}.
state-peer-or-refund = Waits for {$peer}. If nothing comes, your money comes back after {$date}.
state-peer-or-recall = Waits for {$peer}. If no money comes, the right is called back after {$date}.
state-refunding = Not done. Your money comes back.
state-refunding-after = Not done. Your money comes back after {$date}.
state-paying = The money is on its way.
state-issuer = Waits for the issuer of the right.
state-decided = The arbiter has decided for you. Your money comes when the time for complaints is over, on {$date}.
state-in-hand = The arbiter has your money, {$amount}, and waits for the other party's.
state-untaken = Not done. Your money comes back from its issuer.
state-arbiter = Waits for the arbiter.
state-paused = Paused since the restore. It comes from the backup of {$date}; nothing is signed for it before its arbiter has said what became of it.
state-unknown-since = Ended, as far as the arbiter knows. What you signed after the backup of {$date} is not known here: the other party may hold a complete contract.

# One deal.
asks-where = Your key holder asks you for an answer. Open your approval window with this command:
export = Save the deal folder
give-up = End it now
give-up-title = End this deal now?
give-up-means = Your node does what you can do alone: it takes back what can be taken back, or asks the arbiter. If the arbiter finds that the other party has kept its promise, the deal is completed all the same. This cannot be undone.
give-up-yes = End the deal
give-up-no = Let it go on
timeline = What has happened
we-can-prove = What you can prove now
they-can-prove = What can be proven about you
they-can-prove-hint = From what you hold yourself. The other party may hold more.
files = Files
goods = Goods
saved-as = They are in the file
goods-save = Save them
evidence = Evidence
evidence-sound = Everything counts: signatures, hashes and dates fit.
evidence-faults = Some pieces do not count, or prove misconduct:
evidence-check = Whoever gets the deal folder can check it without you, without a network and without this program's word:
evidence-list = {$count ->
    [one] One piece
   *[other] {$count} pieces
}
evidence-kind = Kind
evidence-kept = Kept since
details = Technical details
detail-deal = Deal
detail-contract = Contract
detail-plan = Plan
detail-role = Your role
detail-step = Step
detail-opened = Opened

# What happens in a deal. $mine: whether it was this party; $who: who it was.
event-opened = The deal was opened.
event-promise = {$mine ->
    [yes] You promised to be bound by the contract.
   *[no] {$who} promised to be bound by the contract.
}
event-final = {$mine ->
    [yes] You completed the contract.
   *[no] {$who} completed the contract.
}
event-abort = {$mine ->
    [yes] You asked the arbiter to abort.
   *[no] {$who} asked the arbiter to abort.
}
event-resolve = {$mine ->
    [yes] You asked the arbiter to complete the contract.
   *[no] {$who} asked the arbiter to complete the contract.
}
event-round = {$mine ->
    [yes] You signed a round of the contract.
   *[no] {$who} signed a round of the contract.
}
event-ask = {$mine ->
    [yes] You asked the arbiter about the missing signatures.
   *[no] {$who} asked the arbiter about the missing signatures.
}
event-complaint = {$mine ->
    [yes] You complained to the arbiter.
   *[no] {$who} complained to the arbiter.
}
event-revocation = {$mine ->
    [yes] You asked the arbiter to call the right back.
   *[no] {$who} asked the arbiter to call the right back.
}
event-settlement = {$mine ->
    [yes] You asked the arbiter for the locked money.
   *[no] {$who} asked the arbiter for the locked money.
}
event-inquiry = {$mine ->
    [yes] You asked the arbiter what has become of the contract.
   *[no] {$who} asked the arbiter what has become of the contract.
}
event-deposit = {$mine ->
    [yes] You handed your money to the arbiter.
   *[no] {$who} handed money to the arbiter.
}
event-status = {$mine ->
    [yes] You said that nobody had asked for a decision.
   *[no] {$who} said that nobody had asked for a decision.
}
event-verdict = {$mine ->
    [yes] You decided.
   *[no] {$who} decided.
}
event-disclosure = {$mine ->
    [yes] You gave away the key of the goods.
   *[no] {$who} gave away the key of the goods.
}
event-key-attestation = {$mine ->
    [yes] You gave the key of the goods that was deposited.
   *[no] {$who} gave the key of the goods that was deposited.
}
event-quittance = {$mine ->
    [yes] You said that the money has come.
   *[no] {$who} said that the money has come.
}
event-closing = {$mine ->
    [yes] You closed the time for complaints.
   *[no] {$who} closed the time for complaints.
}
event-container = {$mine ->
    [yes] You signed what was sent.
   *[no] {$who} signed what was sent.
}
event-ack = {$mine ->
    [yes] You signed that it has arrived.
   *[no] {$who} signed that it has arrived.
}
event-offer = {$mine ->
    [yes] You made the offer.
   *[no] {$who} made the offer.
}
event-payment-request = {$mine ->
    [yes] You asked to be paid.
   *[no] {$who} asked to be paid.
}
event-payment-order = {$mine ->
    [yes] You ordered the payment.
   *[no] {$who} ordered the payment.
}
event-payment-receipt = {$mine ->
    [yes] You signed the receipt for the payment.
   *[no] {$who} signed the receipt for the payment.
}
event-release = {$mine ->
    [yes] You let go of the locked money.
   *[no] {$who} let go of the locked money.
}
event-authorisation = {$mine ->
    [yes] You confirmed that the money is held.
   *[no] {$who} confirmed that the money is held.
}
event-booking = {$mine ->
    [yes] You confirmed the booking.
   *[no] {$who} confirmed the booking.
}
event-credential = {$mine ->
    [yes] You issued the credential.
   *[no] {$who} issued the credential.
}
event-credential-transfer = {$mine ->
    [yes] You passed the credential on.
   *[no] {$who} passed the credential on.
}
event-reservation-request = {$mine ->
    [yes] You asked the issuer to keep a use of the right.
   *[no] {$who} asked the issuer to keep a use of the right.
}
event-reservation = {$mine ->
    [yes] You keep a use of the right for this contract.
   *[no] {$who} keeps a use of the right for this contract.
}
event-spend = {$mine ->
    [yes] You took a use of the right.
   *[no] {$who} took a use of the right.
}
event-late = A message came too late or contradicts another one; it is kept.
event-payment = The payment system proved the payment.
event-redemption = The locked money was taken.
event-misbehaviour = It was proven that an item is not what was promised.
event-preimage = The secret came out that opens what is locked.
event-time-stamp = A time-stamp authority dated a signature.
event-cover = You were shown a cover: a guarantor stands for the other side.

# Money.
wallet = Money
no-purses = No purses yet. Open one on the command line:
total-in = All in {$currency}
purses = Purses
pending = Has left and may come back:
at = at
receives-at = Receives at
terms-not-known = Its issuer's terms are not known yet.
system-ecash = E-cash
system-account = Account
do-something = Do something
amount = Amount
token = Token
address = To (address)
task-withdraw = Withdraw from the account
task-deposit = Deposit into the account
task-send = Make a token
task-receive = Take in the token
task-transfer = Transfer
task-refresh = Ask the issuer again
history = What has happened
what = What
state = State
moved = Moved
fee = Fee
begun = Begun
operation = Payment
verb = {$verb ->
    [withdraw] Withdraw
    [transfer] Transfer
    [send] Make a token
    [accept] Take in a token
    [receive] Take in a payment
    [pay] Pay
    [lock] Lock money for a deal
    [verify-lock] Check locked money
    [redeem] Take locked money
    [prepare] Get ready to be paid
    [refresh] Ask the issuer
    [expect] Wait for a payment
    [reclaim] Take money back
    [authorise] Let go of locked money
    [payout] Prepare a payout
    [deposit] Deposit
    [restore] Find money again
    [learn] Ask for the secret of a lock
   *[other] {$verb}
}
operation-done = Done.
operation-failed-not-moved = Failed. No money moved.
operation-failed-returned = Failed. The money is back.
operation-failed-unknown = Failed. It is not known whether the money moved.
operation-asks = Waits for your answer.
operation-fund = Waits for its money.
operation-goes-on = Goes on.
pay-to = Pay here:
token-is-money = Whoever has this token has the money.
back-to-wallet = Back to the money

# Contacts.
contacts = Contacts
no-contacts = No contacts yet.
add-contact = Add a contact
card-label = Contact card
card-hint = The whole text of the card file.
name-label = What you call them
name-hint = Their own name for themselves if you leave it empty.
arbiter-label = Accept as an arbiter
arbiter-hint = An arbiter decides where a deal went wrong. Accept only whom you trust with that.
is-arbiter = Accepted as an arbiter.
is-time-stamper = Dates signatures.
certificates = {$count ->
    [0] No certificate of a name
    [one] One certificate
   *[other] {$count} certificates
}
name-looks-alike = Another contact has a name that looks the same. Compare the fingerprints.
remove = Remove
remove-title = Remove this contact?
remove-means = Deals that have begun go on. If it was an arbiter, nothing new is signed under it.
remove-yes = Remove the contact
remove-no = Keep the contact
own-card = Your own card
own-card-hint = Give it to those you deal with.
own-card-show = Show it

# Offers.
offers = Offers
open-title = Open this link?
open-why = Another page or program has led here. Nothing was fetched yet. To look at the offer, your desk asks the address in the link. Go on only if you expected this.
open-look = Look at the offer
handler = Open links of web pages with this desk
handler-hint = Your browser asks whether links that begin with web+semper: may open this desk. Such a link is shown to you before anything is fetched.
handler-said = Your browser asks you now, or has asked before.
link-for-pages = Link for a web page
own-offers = What you offer
no-offers = You offer nothing yet.
offer-of-right = a right
offer-stands = Offered until
offer-asks = Waits for your answer; it is not offered before.
offer-withdrawn = Withdrawn: no orders are taken.
offer-ended = Ended on
withdraw-offer = Withdraw the offer
renew-offer = Take orders again
qr-code = QR code
qr-code-of-link = The link of this offer as a QR code
qr-code-too-long = The link is too long for a QR code.
back-to-offers = Back to the offers

# Buying.
buy-title = Buy something
buy-link = The seller's link
buy-look = Look at it
buy-from = From
buy-unknown-seller = You do not know this key yet. A name can be chosen freely: compare the key if it matters who sells.
description = Description
price = Price
paid-by = Paid by
complaints-for = Time for complaints
days = {$count ->
    [one] One day
   *[other] {$count} days
}
right-to-show = You show the right
right = The right
right-uses = Can be used
uses-freely = as often as you like
uses-counted = {$count ->
    [one] once at least
   *[other] at least {$count} times
}
right-issued-by = Issued by
terms = Terms
law = Law
buy-arbiter = Who decides if something goes wrong
buy-no-common-arbiter = The seller accepts these arbiters only, and you accept none of them. Add one to your contacts as an arbiter if you trust it.
buy-without-arbiter = There is no arbiter: nobody gives your money back if the goods are not what was promised.
buy-trust = I trust this seller
buy-nothing-yet = The goods are fetched, encrypted, and the contract is asked for. Nothing is paid before your key holder has shown you the contract and you have agreed.
buy-for = Order for {$price}
buy-for-right = Order and show the right
buy-no = Do not buy
buy-fetching = Fetching: {$done} of {$total}
buy-failed = It was not ordered. No money moved. What has come stays, and you can try again.
buy-ordered = The order is on its way.
buy-to-deal = To the deal
look-again = Look again
not-in-basket = This offer is not open here. Paste its link again.
error-link = There is no offer to be had at this link.
error-busy = Too much is being fetched at once. Wait until something has come, and try again.
error-buy = It was not ordered. No money moved.

# Selling.
sell-title = Offer a file
sell-what-happens = The file is encrypted on this computer. Whoever has the link can order it; the key goes to buyers whose money lies locked, and to nobody else.
sell-no-arbiter-known = You have no arbiter among your contacts. Without one you can sell to those only who trust you.
sell-name = Title (the file's name if you leave it empty)
sell-text = Description
sell-more = More terms
sell-days = Days that the offer stands
sell-no-arbiter = Without an arbiter
sell-no-arbiter-hint = You take e-cash by showing what opens the file. Nobody decides about complaints, and your node must be on line when somebody pays.
sell-file = The file
sell-yes = Encrypt and offer
sell-no = Do not offer
error-sell = Nothing was offered.

# The approval window.
window-name = Approval window
window-opening = Your approval window opens
window-first = What waits for you
window-closed = This approval window is closed
window-lost = The connection to your approval window is lost. Nothing can be answered here. What you see may be out of date.
window-log = Log
window-us = Picture and phrase
mark = Your picture and your phrase
picture-alt = Your picture: a pattern that was drawn for you alone
vault-silent = The holder of your keys does not answer. Nothing was signed. It runs with “semper up”.
vault-refused = The holder of your keys does not do this. Nothing was signed.
approvals = Approvals
nothing-waits = Nothing waits for your answer.
waits-since = Waits since
lock = Lock the keys
lock-hint = Nothing is signed and no message is opened before the passphrase is given again. Deals whose time runs out meanwhile may end badly. What the policy of “semper up” allows goes with the keys; mandates stay.
locked-title = Your keys are locked
locked-now = Your keys are locked, and this window is closed. Open it again on your computer with this command:
locked-look = Look at the picture and the phrase above first. If they are not yours, close this page and type nothing.
idle-look = You were away for long. Look at the picture and the phrase above. If they are yours, give your passphrase; then you can answer.
passphrase = Passphrase
passphrase-hint = The one of your keys; the PIN, if they are on a security token.
passphrase-wrong = The passphrase is wrong. Nothing was unlocked.
passphrase-too-often = Too many wrong passphrases. Nothing was unlocked.
unlock = Unlock
go-on = Go on
us-first = This is how you know this window
us-rule = No picture, not us.
us-what = The picture and the phrase above stand on every page of your approval window, and nowhere else. Look for them before you type your passphrase or answer.
us-opened-by-you = You open this window yourself, with “semper window”. No shop, no message and no other page ever opens it. If one asks you to approve something in a page, it is not this window.
us-not-alone = Somebody who has seen your screen can copy both. So open the window yourself, and compare the check words with the other side where it matters.
us-change = You can choose your own picture and words at any time.
us-known = I know them now
us-keep = Keep
us-draw = Keep, and draw another picture
us-too-long = Nothing was changed. The phrase has 1 to 200 bytes, the description at most 500, the picture is not too large.
us-no-picture = Nothing was changed. The picture is neither PNG nor JPEG, or too large.
us-not-kept = Nothing was changed: it cannot be stored.
phrase = Your phrase
picture-own = A picture of your own
picture-hint = PNG or JPEG, at most {$size}. It stays on this computer.
alt = What it shows, in your words, for those who do not see it
skip-to-answer = The text is long. Skip it and go to the answer
part-peer = With
part-arbiter = Arbiter
part-payee = Pay to
part-recipient = To
part-issuer = Issued by
part-guarantor = Guarantor
what-about = What
gives = You pay
in-total = In total at most
uncovered = Why you are asked
mandate = Mandate
mandate-use = Use
mandate-each = Of at most for each
gets = You get
until = Until
key-words = Key:
name-by-contract = so the contract says; nobody has checked it
name-alike-here = looks like another name here
met = You have approved something with this key before.
first-time = For the first time with this key
check-words = Check words
check-words-hint = The other side sees the same words for the same thing. Compare them, by telephone for example, where it matters. They are English in every language.
signed-text = What you sign
signed-bytes = The bytes that are signed
statement = Statement
text-hash = Hash of the text
checked-hash = Hash of the check words
piece-save = Save
piece-long = It is too long to be kept with the question.
answer = Your answer
answer-hint = An answer counts when the page has been open for a second. It cannot be taken back.
refuse = Refuse
answered-title = Answered
answer-approved = Signed.
answer-refused = Refused. Nothing was signed.
answer-too-early = You answered before anybody can have read this. Nothing was signed or refused. Read it, then answer again.
answer-foreign = This answer does not belong to this question, or is from a page of before. Nothing was signed or refused. Read it, then answer again.
answer-idle = You were away for long. Nothing was signed or refused. Give your passphrase, then answer again.
not-waiting-title = This does not wait for an answer
not-waiting = It was answered already, is not needed any more, or was never asked. Nothing was done now.
ask-contract = Sign this contract?
ask-contract-and-pay = Sign this contract and pay?
ask-offer = Offer this to anybody?
ask-send = Send this, signed by you?
ask-withdraw = Withdraw from this contract?
ask-dispute = Open this dispute?
ask-answer = Answer this dispute so?
ask-acknowledge = Sign that you have received this?
ask-pay = Pay this?
ask-bank = Ask your bank for this?
ask-pass-on = Pass this right on?
ask-grant = Grant this mandate?
ask-agree = Agree to be covered?
ask-be-covered = Have a guarantor stand for you?
ask-release-cover = Release this cover?
ask-claim-cover = Ask a guarantor to pay?
ask-sign = Sign this?
do-contract = Sign contract
do-contract-and-pay = Sign and pay {$amount}
do-offer = Offer it
do-offer-for = Offer for {$amount}
do-send = Sign and send
do-withdraw = Withdraw from the contract
do-dispute = Open the dispute
do-answer = Answer
do-acknowledge = Sign the receipt
do-pay = Pay {$amount}
do-ask-bank = Sign for the bank
do-ask-bank-up-to = Have the bank pay {$amount}
do-pass-on = Pass the right on
do-grant = Grant it
do-grant-up-to = Allow up to {$amount}
do-agree-up-to = Agree up to {$amount}
do-be-covered-with = Be covered with {$amount}
do-release-cover = Release it
do-claim-cover = Claim {$amount}
do-sign = Sign
log-what = What the holder of your keys was asked and has signed, the youngest first. Nothing is ever changed in it.
log-asked = Asked
log-approved = Approved by you and signed
log-declined = Refused by you
log-by-rule = Allowed by a rule of yours and signed
log-by-mandate = Within a mandate of yours and signed
log-revoked = Mandate revoked by you
log-followed = Follows from what you approved, signed
log-withdrawn = Not needed any more
log-unlocked = Unlocked
log-brought-over = Answers from before there was a log
log-restored = Restored from a backup
log-text = The text

# Settings and trust.
settings = Settings
error-settings = That was not set. What was set before holds.
trust = Whom you trust
trust-hint = Whose word decides something for you. Everybody else has to prove what they say.
trust-arbiters = Arbiters
trust-no-arbiters = None of your contacts offers to be an arbiter.
is-no-arbiter = Not accepted.
trust-start = Accept as an arbiter
trust-stop = Accept no longer
trust-stampers = Time-stamp authorities
trust-stampers-hint = They say before when something existed. Whoever judges a deal says for itself which of them it believes.
trust-no-stampers = None of your contacts is one.
trust-issuers = Mints and banks
trust-issuers-hint = They owe you the money in your purses.
trust-no-issuers = You have no purses.
settings-deals = How deals go
settings-patience = Patience
settings-patience-hint = How long a message of the other party is waited for, in deals that they begin, before the arbiter is asked. It holds for deals that begin from now on.
settings-default = as the file says: {$value}
settings-as-file = as the file says
settings-dated-by = Who dates your deals when they end
settings-dated-by-hint = So that your proofs count when a key is revoked later, or its algorithm grows weak.
settings-dated-by-address = Or the address of another time-stamp authority
settings-nobody = nobody
settings-none = none
settings-keep = Keep these settings
settings-unasked = What is signed without asking you
settings-unasked-hint = That is between you and the holder of your keys; this page cannot read or change it. These commands show it:
settings-node = This node
settings-name = Your name
settings-address = Others reach it at
settings-relay = Relay
settings-proxy = Proxy
settings-dir = Data directory
settings-file-hint = These can be changed while the node is off, in the file
span-seconds = {$count ->
    [one] {$count} second
   *[other] {$count} seconds
}
span-minutes = {$count ->
    [one] {$count} minute
   *[other] {$count} minutes
}
span-hours = {$count ->
    [one] {$count} hour
   *[other] {$count} hours
}
span-days = {$count ->
    [one] {$count} day
   *[other] {$count} days
}

# Withdrawing, disputes and answers.
notices = What was said about the contract
show-disputed = those that are disputed
withdraw-here = Withdraw from the contract here
withdraw-title = Withdraw from the contract
withdraw-check-title = This will be sent
withdraw-means = You tell the other party, under your signature, that you withdraw from this contract. Its inbox confirms the receipt at once, signed, with date and time.
withdraw-words = In your own words, if you like
withdraw-will-be-sent = You declare that you withdraw from this contract:
withdraw-effect = Semper proves that you said it and when. Whether it has effect, the law says. An exchange that runs goes on; what you can end alone you end with “End it now”.
withdraw-confirm = Confirm withdrawal
dispute-open = Open a dispute
dispute-title = Open a dispute
dispute-check-title = This will be sent
dispute-means = You say to the other party, under your signature, what you claim and what you want, and by when you expect an answer. Nobody decides by that; whoever judges later sees what both have said.
dispute-about = What is it about?
dispute-other = something else: I say it in words
dispute-faulted = what I got is not what was promised
dispute-undelivered = I did not get what was promised
dispute-unpaid = I was not paid
dispute-words = What has happened?
dispute-more = A claim of your own
dispute-claim = The claim, as “semper judge --claim” understands it
dispute-will-be-sent = You open a dispute about this contract:
dispute-effect = Semper proves that you said it and when. An exchange that runs goes on.
dispute-confirm = Open the dispute
answer-title = Answer the dispute
answer-check-title = This will be sent
answer-means = The other party disputes. Your answer goes out under your signature, and everybody can see that it is yours.
answer-words = In your own words, if you like
answer-will-be-sent = You answer the dispute about this contract:
answer-effect = Semper proves that you said it and when. Nobody decides by that.
answer-confirm = Answer
answer-acknowledge = Acknowledge: it is so
answer-deny = Deny: it is not so
answer-no-contest = Do not contest
answer-none = no answer
notice-back = Back, send nothing
notice-look = Go on: look at what will be sent
notice-then-signed = After that it waits for your signature. Open the window in which you answer with
unsigned-withdrawal = Your withdrawal, which you have not signed yet
unsigned-dispute = Your dispute, which you have not signed yet
unsigned-answer = Your answer, which you have not signed yet
notice-name = Name, as the notice says it
notice-contract = Contract
notice-with = With
notice-channel = Where it is to be acknowledged
notice-channel-hint = For example an e-mail address. If you leave it empty: to your inbox, as always.
notice-claim = Claim
notice-relief = What is wanted
notice-amount = Money that is wanted
notice-answer = Answer
notice-answer-by = Answer expected by
notice-words = Words
notice-evidence = Evidence
notice-evidence-yes = What you can prove of this deal goes along.
notice-evidence-no = Nothing goes along.
notice-evidence-send = Send along what I can prove
notice-evidence-hint = The other party then has your deal folder, without notices and without keys.
notice-written = Written
notice-on-its-way = Signed. { $who }’s inbox has not taken it yet; your node sends it again until it does.
notice-given-up = It was given up before it was delivered.
notice-to-acknowledge = You are asked to sign that you have received it. Open the window in which you answer with
notice-delivered = { $who }’s inbox confirms the receipt, signed, on
notice-acknowledged = { $who } signed for it on
notice-acknowledged-by-us = You signed to { $who } that you have received it, on
notice-save-receipt = Save the signed receipt with its evidence
notice-to-its-deal = To the deal that it is about
notice-is-mail = This says to be a notice about a contract, but it is about no contract of yours with its sender. It is mail like any other.
error-notice = That was not said. Nothing was signed or sent.
said-withdrawal = {$mine ->
    [yes] You withdrew from the contract
   *[no] { $who } withdrew from the contract
}
said-dispute = {$mine ->
    [yes] You opened a dispute
   *[no] { $who } opened a dispute
}
said-acknowledge = {$mine ->
    [yes] You acknowledged what is claimed
   *[no] { $who } acknowledged what is claimed
}
said-deny = {$mine ->
    [yes] You denied what is claimed
   *[no] { $who } denied what is claimed
}
said-no-contest = {$mine ->
    [yes] You did not contest what is claimed
   *[no] { $who } did not contest what is claimed
}
event-notice-received = { $who }’s inbox confirmed the receipt: { $what }
event-notice-acknowledged = {$mine ->
    [yes] You signed that you have received it: { $what }
   *[no] { $who } signed for it: { $what }
}
title-withdrawal = Withdrawal from { $title }
title-dispute = Dispute about { $title }
title-answer = Answer about { $title }
concern-asks-withdrawal = Your withdrawal waits for your signature.
concern-asks-dispute = Your dispute waits for your signature.
concern-asks-answer = Your answer waits for your signature.
concern-withdrawn = You have withdrawn; { $who }’s inbox has had it since { $date }.
concern-withdrawn-unreceived = You have withdrawn; there is no receipt yet.
concern-withdrawn-by-peer = { $who } has withdrawn, on { $date }.
concern-answer-due = { $who } disputes; your answer is due by { $date }.
concern-answer-overdue = { $who } disputes; your answer was due by { $date }.
concern-awaits-answer = Disputed by you; { $who }’s answer is due by { $date }.
concern-silent = Disputed by you; { $who } has not answered by { $date }.
concern-answered = {$how ->
    [acknowledge] { $who } disputes; you have acknowledged what is claimed.
    [deny] { $who } disputes; you have denied what is claimed.
   *[other] { $who } disputes; you do not contest what is claimed.
}
concern-answered-by-peer = {$how ->
    [acknowledge] Disputed by you; { $who } has acknowledged what you claim.
    [deny] Disputed by you; { $who } has denied what you claim.
   *[other] Disputed by you; { $who } does not contest what you claim.
}

# Backups.
backup = Backup
backup-how = What to do
backup-deals = {$count ->
    [one] 1 deal
    [1000] 1000 deals or more
   *[other] {$count} deals
}
and = and
backup-none = Not backed up: {$lost} would be lost with this machine.
backup-since = Not backed up since {$date}: {$lost} would be lost with this machine.
backup-all-in = Every deal and every purse is in the last backup. What has happened to open deals since then is not.
backup-last = Last backup
backup-never = never
backup-make = Make a backup
backup-command = Type this in a terminal, with the name of a new file, best on another disk:
backup-why-command = This page cannot do it: the program behind it has no way to your keys, so that nobody who takes it over has one. The command asks for your passphrase, checks the file, and this page then says so.
backup-what = What is in it
backup-in-keys = your keys, encrypted a second time under your passphrase
backup-in-deals = every deal, with all that proves it, your contacts and your contact card
backup-in-log = all that your keys were asked and have signed
backup-in-money = what your purses hold
backup-not-in = Not in it: goods that you sell and have bought, unless you add --with-goods, and a key that is on a security token.
backup-restore = Restore it
backup-after = Only into a new directory, on this machine or another one. A restored party does not act on what is old: it asks the arbiters of open deals first, looks through its purses, and its mandates are revoked. Never start the old directory again.
restored-notice = Restored from the backup of {$date}. Paused until their arbiter has answered: {$deals ->
    [one] 1 deal
   *[other] {$deals} deals
}. Not looked through yet: {$purses ->
    [one] 1 purse
   *[other] {$purses} purses
}.
restored-what = After the backup something else may have been signed. So nothing new is signed for what was agreed before it; the arbiter of each deal is asked again and again, and the deal ends as the arbiter says. If an arbiter does not answer for days, ask its operator; and ask the other party for its deal folder, which shows what you have signed.
restored-deals = The deals
