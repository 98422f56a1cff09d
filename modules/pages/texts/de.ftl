# The frame of a page.
skip-to-content = Zum Inhalt springen
places = Bereiche
waiting = warten auf Sie
connection-lost = Die Verbindung zu Ihrem Knoten ist unterbrochen. Was Sie sehen, ist vielleicht veraltet.
error-title = Das hat nicht geklappt
error-storage = Ihr Knoten kann sein Archiv gerade nicht lesen oder schreiben. Es wurde nichts geändert.
error-folder = Die Beweise dieses Geschäfts lassen sich nicht zusammen lesen.
error-wallet = Das wurde nicht begonnen. Es ist kein Geld bewegt worden.
error-contact = Der Kontakt wurde nicht geändert.
no-such-page = Diese Seite gibt es nicht.
no-such-deal = Dieses Geschäft gibt es nicht.
no-such-file = Das Geschäft hat keine solche Datei.
no-such-operation = Diese Zahlung gibt es nicht.
no-such-contact = Diesen Kontakt gibt es nicht.
no-such-offer = Dieses Angebot gibt es nicht.
back-to-deals = Zurück zu den Geschäften
opening = Ihr Schreibtisch öffnet sich
closed-title = Dieser Schreibtisch ist zu
closed-why = Ein Link öffnet ihn einmal, in einem Browser. Einen neuen bekommen Sie auf Ihrem Rechner mit diesem Befehl:
name-mixes-scripts = mischt Buchstaben mehrerer Schriften
somebody = jemand mit dem Schlüssel {$key}
nothing = Nichts.
unknown = nicht bekannt
size = Größe
pages = Seiten

# The deal browser.
deals = Geschäfte
deals-found = {$count ->
    [one] Ein Geschäft
   *[other] {$count} Geschäfte
}
deals-cut = Es gibt mehr Geschäfte, als sich auf einmal durchsehen lassen; hier fehlen vielleicht welche. Ein Geschäft mit bekannter Kennung steht unter /deals/ und der Kennung.
page-of = Seite {$page} von {$pages}
page-before = Vorige Seite
page-after = Nächste Seite
no-deals-yet = Noch keine Geschäfte. Sie beginnen auf der Kommandozeile, oder mit einer Bestellung für etwas, das Sie anbieten:
search-label = Titel, Partei oder Kennung
search = Suchen
show-label = Zeigen
show-all = alle Geschäfte
show-turn = was auf mich wartet
show-open = was offen ist
show-good = was gut geendet hat
show-other = was anders geendet hat
with = mit
trouble = Was zuletzt schiefging:

# Where a deal stands.
state-signed = Unterschrieben: Der Vertrag bindet beide.
state-signed-by-all = Unterschrieben: Der Vertrag bindet alle.
state-delivered = Zugestellt: Sie haben die Empfangsbestätigung.
state-received = Sie haben es bekommen.
state-receipted = Bezahlt: Sie haben die Quittung.
state-been-paid = Sie sind bezahlt worden.
state-exchanged = Getauscht: Sie haben das Geld der anderen Partei.
state-swapped = Getauscht: Sie haben die Datei der anderen Partei.
state-bought = Gekauft: Das Recht gehört Ihnen, und niemand ruft es mehr zurück.
state-sold = Verkauft: Sie haben das Geld.
state-ended = Beendet: {$words}
state-done = Erledigt.
state-aborted = Vom Schiedsrichter abgebrochen: Niemand ist gebunden.
state-paid-without-receipt = Sie haben bezahlt, aber der Schiedsrichter wurde zu spät für die Quittung erreicht. Der Zahlungsbeweis ist aufbewahrt.
state-paid-unconfirmed = Sie haben bezahlt, und niemand hat es rechtzeitig bestätigt. Das Recht kann zurückgerufen werden. Der Zahlungsbeweis ist aufbewahrt.
state-nothing-paid = Beendet: Es ist kein Geld bewegt worden, und niemand ist gebunden.
state-lapsed = Beendet, bevor etwas unterschrieben war: Niemand ist gebunden.
state-unacknowledged = Gesendet, aber nicht bestätigt. Es ist vielleicht angekommen.
state-refunded = Beendet: Ihr Geld ist zurück.
state-recalled = Sie wurden nicht bezahlt: Das Recht gehört wieder Ihnen.
state-unrecalled = Sie wurden nicht bezahlt, und das Recht konnte nicht rechtzeitig zurückgerufen werden. Was das beweist, ist aufbewahrt.
state-defective = Die Ware ist nicht, was versprochen war. Der Beweis liegt bei den Beweisen.
state-faulted = Der Schiedsrichter hat festgestellt, dass Ihre Ware nicht ist, was versprochen war.
state-unsettled = Ihnen steht Geld zu, und der Herausgeber gibt es nicht heraus. Was das beweist, ist aufbewahrt.
state-asks = Wartet auf Ihre Antwort.
state-missing = Wartet auf {$names}.
state-peer = Wartet auf {$peer}.
state-peer-or-refund = Wartet auf {$peer}. Wenn nichts kommt, kommt Ihr Geld nach {$date} zurück.
state-peer-or-recall = Wartet auf {$peer}. Wenn kein Geld kommt, wird das Recht nach {$date} zurückgerufen.
state-refunding = Nicht zustande gekommen. Ihr Geld kommt zurück.
state-refunding-after = Nicht zustande gekommen. Ihr Geld kommt nach {$date} zurück.
state-paying = Das Geld ist unterwegs.
state-issuer = Wartet auf den Aussteller des Rechts.
state-decided = Der Schiedsrichter hat für Sie entschieden. Ihr Geld kommt, wenn die Frist für Beschwerden vorbei ist, am {$date}.
state-in-hand = Der Schiedsrichter hat Ihr Geld, {$amount}, und wartet auf das der anderen Seite.
state-untaken = Nicht geschehen. Ihr Geld kommt von seiner ausgebenden Stelle zurück.
state-arbiter = Wartet auf den Schiedsrichter.
state-paused = Angehalten seit der Wiederherstellung. Es stammt aus der Sicherung vom {$date}; dafür wird nichts unterschrieben, bevor der Schiedsrichter gesagt hat, was daraus geworden ist.
state-unknown-since = Beendet, soweit der Schiedsrichter weiß. Was Sie nach der Sicherung vom {$date} unterschrieben haben, ist hier nicht bekannt: Die andere Seite hat vielleicht einen vollständigen Vertrag.

# One deal.
asks-where = Ihr Schlüsselhalter bittet Sie um eine Antwort. Öffnen Sie Ihr Freigabefenster mit diesem Befehl:
export = Geschäftsmappe speichern
give-up = Jetzt beenden
give-up-title = Dieses Geschäft jetzt beenden?
give-up-means = Ihr Knoten tut, was Sie allein tun können: Er nimmt zurück, was sich zurücknehmen lässt, oder fragt den Schiedsrichter. Stellt der Schiedsrichter fest, dass die andere Partei ihr Versprechen gehalten hat, kommt das Geschäft trotzdem zustande. Das lässt sich nicht rückgängig machen.
give-up-yes = Geschäft beenden
give-up-no = Weiterlaufen lassen
timeline = Was geschehen ist
we-can-prove = Was Sie jetzt beweisen können
they-can-prove = Was man über Sie beweisen kann
they-can-prove-hint = Aus dem, was Sie selbst haben. Die andere Partei hat vielleicht mehr.
files = Dateien
goods = Ware
saved-as = Sie liegt in der Datei
goods-save = Speichern
evidence = Beweise
evidence-sound = Alles zählt: Unterschriften, Prüfsummen und Daten passen.
evidence-faults = Einige Stücke zählen nicht oder beweisen ein Fehlverhalten:
evidence-check = Wer die Geschäftsmappe bekommt, kann sie ohne Sie, ohne Netz und ohne das Wort dieses Programms prüfen:
evidence-list = {$count ->
    [one] Ein Stück
   *[other] {$count} Stücke
}
evidence-kind = Art
evidence-kept = Aufbewahrt seit
details = Technische Einzelheiten
detail-deal = Geschäft
detail-contract = Vertrag
detail-plan = Plan
detail-role = Ihre Rolle
detail-step = Schritt
detail-opened = Eröffnet

# What happens in a deal. $mine: whether it was this party; $who: who it was.
event-opened = Das Geschäft wurde eröffnet.
event-promise = {$mine ->
    [yes] Sie haben versprochen, an den Vertrag gebunden zu sein.
   *[no] {$who} hat versprochen, an den Vertrag gebunden zu sein.
}
event-final = {$mine ->
    [yes] Sie haben den Vertrag vollendet.
   *[no] {$who} hat den Vertrag vollendet.
}
event-abort = {$mine ->
    [yes] Sie haben den Schiedsrichter um Abbruch gebeten.
   *[no] {$who} hat den Schiedsrichter um Abbruch gebeten.
}
event-resolve = {$mine ->
    [yes] Sie haben den Schiedsrichter gebeten, den Vertrag zu vollenden.
   *[no] {$who} hat den Schiedsrichter gebeten, den Vertrag zu vollenden.
}
event-round = {$mine ->
    [yes] Sie haben eine Runde des Vertrags unterschrieben.
   *[no] {$who} hat eine Runde des Vertrags unterschrieben.
}
event-ask = {$mine ->
    [yes] Sie haben den Schiedsrichter nach den fehlenden Unterschriften gefragt.
   *[no] {$who} hat den Schiedsrichter nach den fehlenden Unterschriften gefragt.
}
event-complaint = {$mine ->
    [yes] Sie haben sich beim Schiedsrichter beschwert.
   *[no] {$who} hat sich beim Schiedsrichter beschwert.
}
event-revocation = {$mine ->
    [yes] Sie haben den Schiedsrichter gebeten, das Recht zurückzurufen.
   *[no] {$who} hat den Schiedsrichter gebeten, das Recht zurückzurufen.
}
event-settlement = {$mine ->
    [yes] Sie haben den Schiedsrichter um das verwahrte Geld gebeten.
   *[no] {$who} hat den Schiedsrichter um das verwahrte Geld gebeten.
}
event-inquiry = {$mine ->
    [yes] Sie haben den Schiedsrichter gefragt, was aus dem Vertrag geworden ist.
   *[no] {$who} hat den Schiedsrichter gefragt, was aus dem Vertrag geworden ist.
}
event-deposit = {$mine ->
    [yes] Sie haben Ihr Geld dem Schiedsrichter gegeben.
   *[no] {$who} hat dem Schiedsrichter Geld gegeben.
}
event-status = {$mine ->
    [yes] Sie haben gesagt, dass niemand eine Entscheidung verlangt hat.
   *[no] {$who} hat gesagt, dass niemand eine Entscheidung verlangt hat.
}
event-verdict = {$mine ->
    [yes] Sie haben entschieden.
   *[no] {$who} hat entschieden.
}
event-disclosure = {$mine ->
    [yes] Sie haben den Schlüssel der Ware herausgegeben.
   *[no] {$who} hat den Schlüssel der Ware herausgegeben.
}
event-key-attestation = {$mine ->
    [yes] Sie haben den hinterlegten Schlüssel der Ware herausgegeben.
   *[no] {$who} hat den hinterlegten Schlüssel der Ware herausgegeben.
}
event-quittance = {$mine ->
    [yes] Sie haben bestätigt, dass das Geld gekommen ist.
   *[no] {$who} hat bestätigt, dass das Geld gekommen ist.
}
event-closing = {$mine ->
    [yes] Sie haben die Frist für Beschwerden geschlossen.
   *[no] {$who} hat die Frist für Beschwerden geschlossen.
}
event-container = {$mine ->
    [yes] Sie haben unterschrieben, was gesendet wurde.
   *[no] {$who} hat unterschrieben, was gesendet wurde.
}
event-ack = {$mine ->
    [yes] Sie haben unterschrieben, dass es angekommen ist.
   *[no] {$who} hat unterschrieben, dass es angekommen ist.
}
event-offer = {$mine ->
    [yes] Sie haben das Angebot gemacht.
   *[no] {$who} hat das Angebot gemacht.
}
event-payment-request = {$mine ->
    [yes] Sie haben um Zahlung gebeten.
   *[no] {$who} hat um Zahlung gebeten.
}
event-payment-order = {$mine ->
    [yes] Sie haben die Zahlung angewiesen.
   *[no] {$who} hat die Zahlung angewiesen.
}
event-payment-receipt = {$mine ->
    [yes] Sie haben die Zahlung quittiert.
   *[no] {$who} hat die Zahlung quittiert.
}
event-release = {$mine ->
    [yes] Sie haben das verwahrte Geld freigegeben.
   *[no] {$who} hat das verwahrte Geld freigegeben.
}
event-authorisation = {$mine ->
    [yes] Sie haben bestätigt, dass das Geld verwahrt ist.
   *[no] {$who} hat bestätigt, dass das Geld verwahrt ist.
}
event-booking = {$mine ->
    [yes] Sie haben die Buchung bestätigt.
   *[no] {$who} hat die Buchung bestätigt.
}
event-credential = {$mine ->
    [yes] Sie haben den Nachweis ausgestellt.
   *[no] {$who} hat den Nachweis ausgestellt.
}
event-credential-transfer = {$mine ->
    [yes] Sie haben den Nachweis weitergegeben.
   *[no] {$who} hat den Nachweis weitergegeben.
}
event-reservation-request = {$mine ->
    [yes] Sie haben den Aussteller gebeten, eine Benutzung des Rechts vorzuhalten.
   *[no] {$who} hat den Aussteller gebeten, eine Benutzung des Rechts vorzuhalten.
}
event-reservation = {$mine ->
    [yes] Sie halten eine Benutzung des Rechts für diesen Vertrag vor.
   *[no] {$who} hält eine Benutzung des Rechts für diesen Vertrag vor.
}
event-spend = {$mine ->
    [yes] Sie haben eine Benutzung des Rechts eingelöst.
   *[no] {$who} hat eine Benutzung des Rechts eingelöst.
}
event-late = Eine Nachricht kam zu spät oder widerspricht einer anderen; sie ist aufbewahrt.
event-payment = Das Zahlungssystem hat die Zahlung bewiesen.
event-redemption = Das verwahrte Geld wurde eingelöst.
event-misbehaviour = Es wurde bewiesen, dass etwas nicht ist, was versprochen war.
event-preimage = Das Geheimnis wurde bekannt, das Verwahrtes öffnet.
event-time-stamp = Eine Zeitstempelstelle hat eine Unterschrift datiert.
event-cover = Ihnen wurde eine Bürgschaft gezeigt: Ein Bürge steht für die andere Seite ein.

# Money.
wallet = Geld
no-purses = Noch keine Geldbörsen. Eröffnen Sie eine auf der Kommandozeile:
total-in = Alles in {$currency}
purses = Geldbörsen
pending = Ist weggegangen und kommt vielleicht zurück:
at = bei
receives-at = Empfängt unter
terms-not-known = Die Bedingungen des Herausgebers sind noch nicht bekannt.
system-ecash = E-Cash
system-account = Konto
do-something = Etwas tun
amount = Betrag
token = Token
address = An (Adresse)
task-withdraw = Vom Konto abheben
task-deposit = Aufs Konto einzahlen
task-send = Token ausstellen
task-receive = Token einlösen
task-transfer = Überweisen
task-refresh = Herausgeber neu fragen
history = Was geschehen ist
what = Was
state = Stand
moved = Bewegt
fee = Gebühr
begun = Begonnen
operation = Zahlung
verb = {$verb ->
    [withdraw] Abheben
    [transfer] Überweisen
    [send] Token ausstellen
    [accept] Token einlösen
    [receive] Zahlung einlösen
    [pay] Bezahlen
    [lock] Geld für ein Geschäft verwahren
    [verify-lock] Verwahrtes Geld prüfen
    [redeem] Verwahrtes Geld einlösen
    [prepare] Auf eine Zahlung vorbereiten
    [refresh] Herausgeber fragen
    [expect] Auf eine Zahlung warten
    [reclaim] Geld zurücknehmen
    [authorise] Verwahrtes Geld freigeben
    [payout] Auszahlung vorbereiten
    [deposit] Einzahlen
    [restore] Geld wiederfinden
    [learn] Nach dem Geheimnis fragen
   *[other] {$verb}
}
operation-done = Erledigt.
operation-failed-not-moved = Fehlgeschlagen. Es ist kein Geld bewegt worden.
operation-failed-returned = Fehlgeschlagen. Das Geld ist zurück.
operation-failed-unknown = Fehlgeschlagen. Ob das Geld bewegt wurde, ist nicht bekannt.
operation-asks = Wartet auf Ihre Antwort.
operation-fund = Wartet auf das Geld.
operation-goes-on = Läuft.
pay-to = Hierhin zahlen:
token-is-money = Wer diesen Token hat, hat das Geld.
back-to-wallet = Zurück zum Geld

# Contacts.
contacts = Kontakte
no-contacts = Noch keine Kontakte.
add-contact = Kontakt hinzufügen
card-label = Kontaktkarte
card-hint = Der ganze Text der Kartendatei.
name-label = Wie Sie den Kontakt nennen
name-hint = Wie er sich selbst nennt, wenn Sie es leer lassen.
arbiter-label = Als Schiedsrichter anerkennen
arbiter-hint = Ein Schiedsrichter entscheidet, wenn bei einem Geschäft etwas schiefging. Erkennen Sie nur an, wem Sie das anvertrauen.
is-arbiter = Als Schiedsrichter anerkannt.
is-time-stamper = Datiert Unterschriften.
certificates = {$count ->
    [0] Kein Zertifikat über einen Namen
    [one] Ein Zertifikat
   *[other] {$count} Zertifikate
}
name-looks-alike = Ein anderer Kontakt hat einen Namen, der gleich aussieht. Vergleichen Sie die Fingerabdrücke.
remove = Entfernen
remove-title = Diesen Kontakt entfernen?
remove-means = Begonnene Geschäfte laufen weiter. War es ein Schiedsrichter, wird unter ihm nichts Neues unterschrieben.
remove-yes = Kontakt entfernen
remove-no = Kontakt behalten
own-card = Ihre eigene Karte
own-card-hint = Geben Sie sie denen, mit denen Sie Geschäfte machen.
own-card-show = Anzeigen

# Offers.
offers = Angebote
open-title = Diesen Link öffnen?
open-why = Eine andere Seite oder ein Programm hat hierher geführt. Noch wurde nichts geholt. Um das Angebot anzusehen, fragt Ihr Schreibtisch bei der Adresse im Link an. Gehen Sie nur weiter, wenn Sie das erwartet haben.
open-look = Angebot ansehen
handler = Links von Webseiten mit diesem Schreibtisch öffnen
handler-hint = Ihr Browser fragt, ob Links, die mit web+semper: beginnen, diesen Schreibtisch öffnen dürfen. So ein Link wird Ihnen gezeigt, bevor etwas geholt wird.
handler-said = Ihr Browser fragt Sie jetzt, oder er hat schon gefragt.
link-for-pages = Link für eine Webseite
own-offers = Was Sie anbieten
no-offers = Sie bieten noch nichts an.
offer-of-right = ein Recht
offer-stands = Angeboten bis
offer-asks = Wartet auf Ihre Antwort; vorher ist es nicht angeboten.
offer-withdrawn = Zurückgezogen: Es werden keine Bestellungen angenommen.
offer-ended = Beendet am
withdraw-offer = Angebot zurückziehen
renew-offer = Wieder Bestellungen annehmen
qr-code = QR-Code
qr-code-of-link = Der Link dieses Angebots als QR-Code
qr-code-too-long = Der Link ist zu lang für einen QR-Code.
back-to-offers = Zurück zu den Angeboten

# Kaufen.
buy-title = Etwas kaufen
buy-link = Link des Verkäufers
buy-look = Ansehen
buy-from = Von
buy-unknown-seller = Diesen Schlüssel kennen Sie noch nicht. Namen sind frei gewählt: Vergleichen Sie den Schlüssel, wenn es darauf ankommt, wer verkauft.
description = Beschreibung
price = Preis
paid-by = Bezahlt mit
complaints-for = Zeit für Beschwerden
days = {$count ->
    [one] Ein Tag
   *[other] {$count} Tage
}
right-to-show = Sie zeigen das Recht
right = Das Recht
right-uses = Benutzbar
uses-freely = so oft Sie wollen
uses-counted = {$count ->
    [one] mindestens einmal
   *[other] mindestens {$count}-mal
}
right-issued-by = Ausgestellt von
terms = Bedingungen
law = Recht
buy-arbiter = Wer entscheidet, wenn etwas schiefgeht
buy-no-common-arbiter = Der Verkäufer nimmt nur diese Schiedsrichter an, und Sie keinen davon. Nehmen Sie einen als Schiedsrichter in Ihre Kontakte auf, wenn Sie ihm vertrauen.
buy-without-arbiter = Es gibt keinen Schiedsrichter: Niemand gibt Ihnen das Geld zurück, wenn die Ware nicht die versprochene ist.
buy-trust = Ich vertraue diesem Verkäufer
buy-nothing-yet = Die Ware wird verschlüsselt geholt und der Vertrag angefordert. Bezahlt wird nichts, bevor Ihr Schlüsselhalter Ihnen den Vertrag gezeigt hat und Sie zugestimmt haben.
buy-for = Bestellen für {$price}
buy-for-right = Bestellen und das Recht zeigen
buy-no = Nicht kaufen
buy-fetching = Wird geholt: {$done} von {$total}
buy-failed = Es wurde nicht bestellt. Kein Geld wurde bewegt. Was gekommen ist, bleibt; Sie können es noch einmal versuchen.
buy-ordered = Die Bestellung ist unterwegs.
buy-to-deal = Zum Geschäft
look-again = Noch einmal ansehen
not-in-basket = Dieses Angebot ist hier nicht offen. Fügen Sie den Link noch einmal ein.
error-link = Unter diesem Link gibt es kein Angebot.
error-busy = Es wird zu viel auf einmal geholt. Warten Sie, bis etwas gekommen ist, und versuchen Sie es dann noch einmal.
error-buy = Es wurde nicht bestellt. Kein Geld wurde bewegt.

# Verkaufen.
sell-title = Eine Datei anbieten
sell-what-happens = Die Datei wird auf diesem Rechner verschlüsselt. Wer den Link hat, kann bestellen; der Schlüssel geht an Käufer, deren Geld gesperrt liegt, und an niemanden sonst.
sell-no-arbiter-known = Sie haben keinen Schiedsrichter unter Ihren Kontakten. Ohne ihn können Sie nur an die verkaufen, die Ihnen vertrauen.
sell-name = Titel (der Name der Datei, wenn Sie nichts angeben)
sell-text = Beschreibung
sell-more = Weitere Bedingungen
sell-days = Tage, die das Angebot gilt
sell-no-arbiter = Ohne Schiedsrichter
sell-no-arbiter-hint = Sie nehmen E-Geld, indem Sie zeigen, was die Datei öffnet. Niemand entscheidet über Beschwerden, und Ihr Knoten muss erreichbar sein, wenn jemand bezahlt.
sell-file = Die Datei
sell-yes = Verschlüsseln und anbieten
sell-no = Nicht anbieten
error-sell = Es wurde nichts angeboten.

# Das Freigabefenster.
window-name = Freigabefenster
window-opening = Ihr Freigabefenster öffnet sich
window-first = Was auf Sie wartet
window-closed = Dieses Freigabefenster ist zu
window-lost = Die Verbindung zu Ihrem Freigabefenster ist verloren. Hier kann nichts beantwortet werden. Was Sie sehen, kann veraltet sein.
window-log = Protokoll
window-us = Bild und Satz
mark = Ihr Bild und Ihr Satz
picture-alt = Ihr Bild: ein Muster, das nur für Sie gezeichnet wurde
vault-silent = Ihr Schlüsselhalter antwortet nicht. Nichts wurde unterschrieben. Er läuft mit „semper up“.
vault-refused = Ihr Schlüsselhalter tut das nicht. Nichts wurde unterschrieben.
approvals = Freigaben
nothing-waits = Nichts wartet auf Ihre Antwort.
waits-since = Wartet seit
lock = Schlüssel sperren
lock-hint = Nichts wird unterschrieben und keine Nachricht geöffnet, bevor die Passphrase wieder eingegeben ist. Geschäfte, deren Zeit inzwischen abläuft, können schlecht enden. Was die Regeln von „semper up“ erlauben, geht mit den Schlüsseln; Mandate bleiben.
locked-title = Ihre Schlüssel sind gesperrt
locked-now = Ihre Schlüssel sind gesperrt, und dieses Fenster ist zu. Öffnen Sie es auf Ihrem Rechner wieder mit diesem Befehl:
locked-look = Sehen Sie zuerst auf Bild und Satz hier oben. Sind es nicht die Ihren, schließen Sie diese Seite und geben Sie nichts ein.
idle-look = Sie waren lange weg. Sehen Sie auf Bild und Satz hier oben. Sind es die Ihren, geben Sie Ihre Passphrase ein; dann können Sie antworten.
passphrase = Passphrase
passphrase-hint = Die Ihrer Schlüssel; die PIN, wenn sie auf einem Sicherheitstoken sind.
passphrase-wrong = Die Passphrase ist falsch. Nichts wurde entsperrt.
passphrase-too-often = Zu viele falsche Passphrasen. Nichts wurde entsperrt.
unlock = Entsperren
go-on = Weiter
us-first = Daran erkennen Sie dieses Fenster
us-rule = Kein Bild, nicht wir.
us-what = Das Bild und der Satz hier oben stehen auf jeder Seite Ihres Freigabefensters und sonst nirgends. Sehen Sie nach ihnen, bevor Sie Ihre Passphrase eingeben oder antworten.
us-opened-by-you = Sie öffnen dieses Fenster selbst, mit „semper window“. Kein Laden, keine Nachricht und keine andere Seite öffnet es je. Bittet eine Seite Sie, in ihr etwas freizugeben, so ist sie nicht dieses Fenster.
us-not-alone = Wer Ihren Bildschirm gesehen hat, kann beides nachmachen. Öffnen Sie also das Fenster selbst, und vergleichen Sie die Prüfwörter mit der Gegenseite, wo es darauf ankommt.
us-change = Sie können jederzeit ein eigenes Bild und eigene Wörter wählen.
us-known = Ich kenne sie jetzt
us-keep = Behalten
us-draw = Behalten und ein anderes Bild zeichnen
us-too-long = Nichts wurde geändert. Der Satz hat 1 bis 200 Bytes, die Beschreibung höchstens 500, das Bild ist nicht zu groß.
us-no-picture = Nichts wurde geändert. Das Bild ist weder PNG noch JPEG, oder zu groß.
us-not-kept = Nichts wurde geändert: es lässt sich nicht speichern.
phrase = Ihr Satz
picture-own = Ein eigenes Bild
picture-hint = PNG oder JPEG, höchstens {$size}. Es bleibt auf diesem Rechner.
alt = Was es zeigt, in Ihren Worten, für alle, die es nicht sehen
skip-to-answer = Der Text ist lang. Überspringen und zur Antwort gehen
part-peer = Mit
part-arbiter = Schiedsrichter
part-payee = Zahlen an
part-recipient = An
part-issuer = Ausgestellt von
part-guarantor = Bürge
what-about = Was
gives = Sie zahlen
in-total = Höchstens insgesamt
uncovered = Warum Sie gefragt werden
mandate = Mandat
mandate-use = Nutzung
mandate-each = Von höchstens je Vorgang
gets = Sie bekommen
until = Bis
key-words = Schlüssel:
name-by-contract = so sagt es der Vertrag; niemand hat es geprüft
name-alike-here = sieht aus wie ein anderer Name hier
met = Sie haben mit diesem Schlüssel schon etwas freigegeben.
first-time = Zum ersten Mal mit diesem Schlüssel
check-words = Prüfwörter
check-words-hint = Die Gegenseite sieht für dieselbe Sache dieselben Wörter. Vergleichen Sie sie, am Telefon etwa, wo es darauf ankommt. Sie sind in jeder Sprache englisch.
signed-text = Was Sie unterschreiben
signed-bytes = Die Bytes, die unterschrieben werden
statement = Erklärung
text-hash = Hash des Textes
checked-hash = Hash der Prüfwörter
piece-save = Speichern
piece-long = Es ist zu lang, um mit der Frage aufbewahrt zu werden.
answer = Ihre Antwort
answer-hint = Eine Antwort zählt, wenn die Seite eine Sekunde offen war. Sie lässt sich nicht zurücknehmen.
refuse = Ablehnen
answered-title = Beantwortet
answer-approved = Unterschrieben.
answer-refused = Abgelehnt. Nichts wurde unterschrieben.
answer-too-early = Sie haben geantwortet, bevor jemand das gelesen haben kann. Nichts wurde unterschrieben oder abgelehnt. Lesen Sie, und antworten Sie dann noch einmal.
answer-foreign = Diese Antwort gehört nicht zu dieser Frage oder kommt von einer Seite von vorher. Nichts wurde unterschrieben oder abgelehnt. Lesen Sie, und antworten Sie dann noch einmal.
answer-idle = Sie waren lange weg. Nichts wurde unterschrieben oder abgelehnt. Geben Sie Ihre Passphrase ein, und antworten Sie dann noch einmal.
not-waiting-title = Das wartet auf keine Antwort
not-waiting = Es ist schon beantwortet, wird nicht mehr gebraucht oder wurde nie gefragt. Jetzt wurde nichts getan.
ask-contract = Diesen Vertrag unterschreiben?
ask-contract-and-pay = Diesen Vertrag unterschreiben und zahlen?
ask-offer = Das jedem anbieten?
ask-send = Das mit Ihrer Unterschrift senden?
ask-withdraw = Diesen Vertrag widerrufen?
ask-dispute = Diesen Streit eröffnen?
ask-answer = Auf diesen Streit so antworten?
ask-acknowledge = Unterschreiben, dass Sie das bekommen haben?
ask-pay = Das zahlen?
ask-bank = Ihre Bank darum bitten?
ask-pass-on = Dieses Recht weitergeben?
ask-grant = Dieses Mandat erteilen?
ask-agree = Der Bürgschaft zustimmen?
ask-be-covered = Einen Bürgen für sich einstehen lassen?
ask-release-cover = Diese Bürgschaft freigeben?
ask-claim-cover = Einen Bürgen zur Zahlung auffordern?
ask-sign = Das unterschreiben?
do-contract = Vertrag unterschreiben
do-contract-and-pay = Für {$amount} unterschreiben
do-offer = Anbieten
do-offer-for = Für {$amount} anbieten
do-send = Unterschreiben und senden
do-withdraw = Vertrag widerrufen
do-dispute = Streit eröffnen
do-answer = Antworten
do-acknowledge = Empfang unterschreiben
do-pay = {$amount} zahlen
do-ask-bank = Für die Bank unterschreiben
do-ask-bank-up-to = Bank {$amount} zahlen lassen
do-pass-on = Recht weitergeben
do-grant = Erteilen
do-grant-up-to = Bis {$amount} erlauben
do-agree-up-to = Bis {$amount} zustimmen
do-be-covered-with = Mit {$amount} bürgen lassen
do-release-cover = Freigeben
do-claim-cover = {$amount} fordern
do-sign = Unterschreiben
log-what = Was Ihr Schlüsselhalter gefragt wurde und unterschrieben hat, das Jüngste zuerst. Darin wird nie etwas geändert.
log-asked = Gefragt
log-approved = Von Ihnen freigegeben und unterschrieben
log-declined = Von Ihnen abgelehnt
log-by-rule = Von einer Ihrer Regeln erlaubt und unterschrieben
log-by-mandate = Von einem Ihrer Mandate gedeckt und unterschrieben
log-revoked = Mandat von Ihnen widerrufen
log-followed = Folgt aus dem, was Sie freigegeben haben; unterschrieben
log-withdrawn = Nicht mehr gebraucht
log-unlocked = Entsperrt
log-brought-over = Antworten von vor dem Protokoll
log-restored = Aus einer Sicherung wiederhergestellt
log-text = Der Text

# Settings and trust.
settings = Einstellungen
error-settings = Das wurde nicht eingestellt. Es gilt, was vorher galt.
trust = Wem Sie vertrauen
trust-hint = Wessen Wort für Sie etwas entscheidet. Alle anderen müssen beweisen, was sie sagen.
trust-arbiters = Schiedsrichter
trust-no-arbiters = Keiner Ihrer Kontakte bietet sich als Schiedsrichter an.
is-no-arbiter = Nicht anerkannt.
trust-start = Als Schiedsrichter anerkennen
trust-stop = Nicht mehr anerkennen
trust-stampers = Zeitstempelstellen
trust-stampers-hint = Sie sagen, vor wann etwas da war. Wer ein Geschäft beurteilt, sagt selbst, welcher von ihnen er glaubt.
trust-no-stampers = Keiner Ihrer Kontakte ist eine.
trust-issuers = Münzstätten und Banken
trust-issuers-hint = Sie schulden Ihnen das Geld in Ihren Börsen.
trust-no-issuers = Sie haben keine Börsen.
settings-deals = Wie Geschäfte laufen
settings-patience = Geduld
settings-patience-hint = Wie lange bei Geschäften, die andere beginnen, auf eine Nachricht gewartet wird, bevor der Schiedsrichter gefragt wird. Es gilt für Geschäfte, die von jetzt an beginnen.
settings-default = wie es in der Datei steht: {$value}
settings-as-file = wie es in der Datei steht
settings-dated-by = Wer Ihre Geschäfte datiert, wenn sie enden
settings-dated-by-hint = Damit Ihre Beweise auch gelten, wenn ein Schlüssel später widerrufen oder sein Verfahren schwach wird.
settings-dated-by-address = Oder die Adresse einer anderen Zeitstempelstelle
settings-nobody = niemand
settings-none = keiner
settings-keep = So einstellen
settings-unasked = Was ohne Rückfrage unterschrieben wird
settings-unasked-hint = Das ist zwischen Ihnen und dem Verwahrer Ihrer Schlüssel; diese Seite kann es nicht lesen und nicht ändern. Diese Befehle zeigen es:
settings-node = Dieser Knoten
settings-name = Ihr Name
settings-address = Andere erreichen ihn unter
settings-relay = Relais
settings-proxy = Proxy
settings-dir = Datenverzeichnis
settings-file-hint = Das lässt sich ändern, solange der Knoten aus ist, in der Datei
span-seconds = {$count ->
    [one] {$count} Sekunde
   *[other] {$count} Sekunden
}
span-minutes = {$count ->
    [one] {$count} Minute
   *[other] {$count} Minuten
}
span-hours = {$count ->
    [one] {$count} Stunde
   *[other] {$count} Stunden
}
span-days = {$count ->
    [one] {$count} Tag
   *[other] {$count} Tage
}

# Widerrufen, streiten und antworten.
notices = Was zum Vertrag gesagt wurde
show-disputed = strittige
withdraw-here = Vertrag hier widerrufen
withdraw-title = Vertrag widerrufen
withdraw-check-title = Das wird gesendet
withdraw-means = Sie sagen der anderen Seite mit Ihrer Unterschrift, dass Sie diesen Vertrag widerrufen. Deren Posteingang bestätigt den Empfang sofort, unterschrieben, mit Datum und Uhrzeit.
withdraw-words = In eigenen Worten, wenn Sie mögen
withdraw-will-be-sent = Sie erklären, dass Sie diesen Vertrag widerrufen:
withdraw-effect = Semper beweist, dass Sie es gesagt haben und wann. Ob es wirkt, sagt das Recht. Ein laufender Austausch läuft weiter; was Sie allein beenden können, beenden Sie mit „Jetzt beenden“.
withdraw-confirm = Widerruf bestätigen
dispute-open = Streit eröffnen
dispute-title = Streit eröffnen
dispute-check-title = Das wird gesendet
dispute-means = Sie sagen der anderen Seite mit Ihrer Unterschrift, was Sie behaupten und was Sie wollen, und bis wann Sie eine Antwort erwarten. Damit entscheidet niemand; wer später urteilt, sieht, was beide gesagt haben.
dispute-about = Worum geht es?
dispute-other = etwas anderes: ich sage es in Worten
dispute-faulted = was ich bekommen habe, ist nicht das Versprochene
dispute-undelivered = ich habe das Versprochene nicht bekommen
dispute-unpaid = ich wurde nicht bezahlt
dispute-words = Was ist geschehen?
dispute-more = Eine eigene Behauptung
dispute-claim = Die Behauptung, wie „semper judge --claim“ sie versteht
dispute-will-be-sent = Sie eröffnen einen Streit über diesen Vertrag:
dispute-effect = Semper beweist, dass Sie es gesagt haben und wann. Ein laufender Austausch läuft weiter.
dispute-confirm = Streit eröffnen
answer-title = Auf den Streit antworten
answer-check-title = Das wird gesendet
answer-means = Die andere Seite streitet. Ihre Antwort geht mit Ihrer Unterschrift hinaus, und jeder kann sehen, dass sie von Ihnen ist.
answer-words = In eigenen Worten, wenn Sie mögen
answer-will-be-sent = Sie antworten auf den Streit über diesen Vertrag:
answer-effect = Semper beweist, dass Sie es gesagt haben und wann. Damit entscheidet niemand.
answer-confirm = Antworten
answer-acknowledge = Anerkennen: es ist so
answer-deny = Bestreiten: es ist nicht so
answer-no-contest = Nicht bestreiten
answer-none = keine Antwort
notice-back = Zurück, nichts senden
notice-look = Weiter: ansehen, was gesendet wird
notice-then-signed = Danach wartet es auf Ihre Unterschrift. Das Fenster, in dem Sie antworten, öffnen Sie mit
unsigned-withdrawal = Ihr Widerruf, den Sie noch nicht unterschrieben haben
unsigned-dispute = Ihr Streit, den Sie noch nicht unterschrieben haben
unsigned-answer = Ihre Antwort, die Sie noch nicht unterschrieben haben
notice-name = Name, wie er dort steht
notice-contract = Vertrag
notice-with = Mit
notice-channel = Wohin der Empfang bestätigt werden soll
notice-channel-hint = Zum Beispiel eine E-Mail-Adresse. Wenn Sie es leer lassen: an Ihren Posteingang, wie immer.
notice-claim = Behauptung
notice-relief = Was verlangt wird
notice-amount = Geld, das verlangt wird
notice-answer = Antwort
notice-answer-by = Antwort erwartet bis
notice-words = Worte
notice-evidence = Belege
notice-evidence-yes = Was Sie zu diesem Geschäft beweisen können, geht mit.
notice-evidence-no = Nichts geht mit.
notice-evidence-send = Mitsenden, was ich beweisen kann
notice-evidence-hint = Die andere Seite hat dann Ihre Mappe zu diesem Geschäft, ohne Erklärungen und ohne Schlüssel.
notice-written = Geschrieben
notice-on-its-way = Unterschrieben. Der Posteingang von { $who } hat es noch nicht angenommen; Ihr Knoten sendet es wieder, bis er es annimmt.
notice-given-up = Es wurde aufgegeben, bevor es zugestellt war.
notice-to-acknowledge = Sie sollen unterschreiben, dass Sie es bekommen haben. Das Fenster, in dem Sie antworten, öffnen Sie mit
notice-delivered = Der Posteingang von { $who } bestätigt den Empfang, unterschrieben, am
notice-acknowledged = { $who } hat den Empfang unterschrieben am
notice-acknowledged-by-us = Sie haben { $who } den Empfang unterschrieben am
notice-save-receipt = Unterschriebene Empfangsbestätigung mit Belegen speichern
notice-to-its-deal = Zum Geschäft, um das es geht
notice-is-mail = Das gibt sich als Erklärung zu einem Vertrag aus, betrifft aber keinen Vertrag zwischen Ihnen und dem Absender. Es ist Post wie jede andere.
error-notice = Das wurde nicht gesagt. Nichts wurde unterschrieben oder gesendet.
said-withdrawal = {$mine ->
    [yes] Sie haben den Vertrag widerrufen
   *[no] { $who } hat den Vertrag widerrufen
}
said-dispute = {$mine ->
    [yes] Sie haben einen Streit eröffnet
   *[no] { $who } hat einen Streit eröffnet
}
said-acknowledge = {$mine ->
    [yes] Sie haben die Behauptung anerkannt
   *[no] { $who } hat die Behauptung anerkannt
}
said-deny = {$mine ->
    [yes] Sie haben die Behauptung bestritten
   *[no] { $who } hat die Behauptung bestritten
}
said-no-contest = {$mine ->
    [yes] Sie bestreiten die Behauptung nicht
   *[no] { $who } bestreitet die Behauptung nicht
}
event-notice-received = Der Posteingang von { $who } hat den Empfang bestätigt: { $what }
event-notice-acknowledged = {$mine ->
    [yes] Sie haben den Empfang unterschrieben: { $what }
   *[no] { $who } hat den Empfang unterschrieben: { $what }
}
title-withdrawal = Widerruf: { $title }
title-dispute = Streit: { $title }
title-answer = Antwort: { $title }
concern-asks-withdrawal = Ihr Widerruf wartet auf Ihre Unterschrift.
concern-asks-dispute = Ihr Streit wartet auf Ihre Unterschrift.
concern-asks-answer = Ihre Antwort wartet auf Ihre Unterschrift.
concern-withdrawn = Sie haben widerrufen; der Posteingang von { $who } hat es seit { $date }.
concern-withdrawn-unreceived = Sie haben widerrufen; noch ist der Empfang nicht bestätigt.
concern-withdrawn-by-peer = { $who } hat widerrufen, am { $date }.
concern-answer-due = { $who } streitet; Ihre Antwort wird bis { $date } erwartet.
concern-answer-overdue = { $who } streitet; Ihre Antwort wurde bis { $date } erwartet.
concern-awaits-answer = Strittig durch Sie; die Antwort von { $who } wird bis { $date } erwartet.
concern-silent = Strittig durch Sie; { $who } hat bis { $date } nicht geantwortet.
concern-answered = {$how ->
    [acknowledge] { $who } streitet; Sie haben die Behauptung anerkannt.
    [deny] { $who } streitet; Sie haben die Behauptung bestritten.
   *[other] { $who } streitet; Sie bestreiten die Behauptung nicht.
}
concern-answered-by-peer = {$how ->
    [acknowledge] Strittig durch Sie; { $who } hat Ihre Behauptung anerkannt.
    [deny] Strittig durch Sie; { $who } hat Ihre Behauptung bestritten.
   *[other] Strittig durch Sie; { $who } bestreitet Ihre Behauptung nicht.
}

# Sicherungen.
backup = Sicherung
backup-how = Was zu tun ist
backup-deals = {$count ->
    [one] 1 Geschäft
    [1000] 1000 Geschäfte oder mehr
   *[other] {$count} Geschäfte
}
and = und
backup-none = Nicht gesichert: Mit diesem Gerät ginge verloren: {$lost}.
backup-since = Nicht gesichert seit {$date}: Mit diesem Gerät ginge verloren: {$lost}.
backup-all-in = Jedes Geschäft und jede Geldbörse ist in der letzten Sicherung. Was seither mit offenen Geschäften geschehen ist, nicht.
backup-last = Letzte Sicherung
backup-never = noch nie
backup-make = Eine Sicherung anlegen
backup-command = Geben Sie das in einem Terminal ein, mit dem Namen einer neuen Datei, am besten auf einem anderen Datenträger:
backup-why-command = Diese Seite kann es nicht: Das Programm dahinter hat keinen Zugang zu Ihren Schlüsseln, damit ihn auch niemand hat, der es übernimmt. Der Befehl fragt nach Ihrer Passphrase und prüft die Datei; danach steht es auch hier.
backup-what = Was darin ist
backup-in-keys = Ihre Schlüssel, noch einmal unter Ihrer Passphrase verschlüsselt
backup-in-deals = jedes Geschäft mit allem, was es beweist, Ihre Kontakte und Ihre Kontaktkarte
backup-in-log = alles, was Ihre Schlüssel gefragt wurden und unterschrieben haben
backup-in-money = was in Ihren Geldbörsen ist
backup-not-in = Nicht darin: Waren, die Sie verkaufen und gekauft haben, außer mit --with-goods, und ein Schlüssel, der auf einem Sicherheitstoken ist.
backup-restore = Wiederherstellen
backup-after = Nur in ein neues Verzeichnis, auf diesem Gerät oder einem anderen. Wer wiederhergestellt ist, handelt nicht nach dem alten Stand: Zuerst werden die Schiedsrichter offener Geschäfte gefragt und die Geldbörsen durchgesehen, und die Mandate sind widerrufen. Starten Sie das alte Verzeichnis nie wieder.
restored-notice = Wiederhergestellt aus der Sicherung vom {$date}. Angehalten, bis ihr Schiedsrichter geantwortet hat: {$deals ->
    [one] 1 Geschäft
   *[other] {$deals} Geschäfte
}. Noch nicht durchgesehen: {$purses ->
    [one] 1 Geldbörse
   *[other] {$purses} Geldbörsen
}.
restored-what = Nach der Sicherung kann anderes unterschrieben worden sein. Darum wird für das, was vorher vereinbart war, nichts Neues unterschrieben; der Schiedsrichter jedes Geschäfts wird immer wieder gefragt, und es endet, wie er sagt. Antwortet ein Schiedsrichter tagelang nicht, fragen Sie seinen Betreiber; und bitten Sie die andere Seite um ihren Geschäftsordner, der zeigt, was Sie unterschrieben haben.
restored-deals = Die Geschäfte
