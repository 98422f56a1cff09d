// A wallet of cashu-ts on the mint that is named as argument. Each line that it prints is checked by the test.
import { CashuMint, CashuWallet, getEncodedTokenV4, hasValidDleq } from "@cashu/cashu-ts";

const url = process.argv[2];
const open = async () => {
  const wallet = new CashuWallet(new CashuMint(url), { unit: "eur" });
  await wallet.loadMint();
  return wallet;
};
const sum = (proofs) => proofs.reduce((total, proof) => total + proof.amount, 0);
const token = (proofs) => getEncodedTokenV4({ mint: url, proofs, unit: "eur" });
const refusal = async (work) => {
  try {
    await work();
    return "granted";
  } catch (error) {
    return `refused ${error.code}`;
  }
};

const [alice, bob] = [await open(), await open()];
const keys = await alice.getKeys();
const proven = (proofs) => proofs.every((proof) => hasValidDleq(proof, keys));

const quote = await alice.createMintQuote(64);
console.log(`quote ${(await alice.checkMintQuote(quote.quote)).state}`);
const bought = await alice.mintProofs(64, quote.quote);
console.log(`bought ${sum(bought)}, proven ${proven(bought)}`);

const first = await alice.send(10, bought, { includeDleq: true, includeFees: true });
const received = await bob.receive(token(first.send), { requireDleq: true });
console.log(`received ${sum(received)}, proven ${proven(received)}`);
console.log(await refusal(() => bob.receive(token(first.send))));
const states = await alice.checkProofsStates(first.send);
console.log(`states ${[...new Set(states.map((one) => one.state))]}`);

// Key pairs 1 and 2 of the curve: the private keys are the numbers 1 and 2.
const [one, two] = ["1", "2"].map((digit) => digit.padStart(64, "0"));
const pubkey = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const second = await alice.send(5, first.keep, { p2pk: { pubkey }, includeFees: true });
const stolen = await refusal(() => bob.receive(token(second.send), { privkey: two }));
const unlocked = await bob.receive(token(second.send), { privkey: one });
console.log(`locked: ${stolen}, received ${sum(unlocked)}`);

const invoice = await bob.createMintQuote(7);
const melt = await alice.createMeltQuote(invoice.request);
const third = await alice.send(melt.amount + melt.fee_reserve, second.keep, { includeFees: true });
const paid = await alice.meltProofs(melt, third.send);
console.log(`paid ${paid.quote.state}`);
