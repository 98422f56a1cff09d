//! Any sequence of requests, good and bad: after each of them the books add up.

use proptest::prelude::*;
use semper_core::party::Suite;
use semper_core::time::Seconds;
use semper_crypto::SecretKeys;
use semper_payment::account::bank::operator::{Access, Direction};
use semper_payment::account::payment::{Level, Token};
use semper_payment::account::request::{Action, Rest};
use semper_transfer::payment::statement::Side;

use super::world::{Customer, World, eur, release};

#[derive(Clone, Debug)]
enum Op {
    Cash { who: usize, minor: u64, out: bool },
    Transfer { from: usize, to: usize, minor: u64 },
    Token { from: usize, to: usize, minor: u64, level: u8, lock: bool },
    Authorise { who: usize, token: usize, capture: Option<u64> },
    Capture { who: usize, token: usize, minor: u64, keep: bool },
    Void { who: usize, token: usize },
    Revoke { who: usize, token: usize },
    Refund { who: usize, token: usize, minor: u64 },
    Settle { who: usize, token: usize, by: usize, to_payee: bool, minor: u64 },
    Freeze { who: usize, frozen: bool },
    Pass { seconds: u64, close: bool },
}

fn op() -> impl Strategy<Value = Op> {
    let (who, token, minor) = (0..3_usize, any::<prop::sample::Index>(), 1..400_u64);
    let token = token.prop_map(|index| index.index(1000));
    prop_oneof![
        1 => (who.clone(), minor.clone(), any::<bool>()).prop_map(|(who, minor, out)| Op::Cash { who, minor, out }),
        1 => (who.clone(), who.clone(), minor.clone()).prop_map(|(from, to, minor)| Op::Transfer { from, to, minor }),
        4 => (who.clone(), who.clone(), minor.clone(), 1..4_u8, any::<bool>())
            .prop_map(|(from, to, minor, level, lock)| Op::Token { from, to, minor, level, lock }),
        4 => (who.clone(), token.clone(), prop::option::of(minor.clone()))
            .prop_map(|(who, token, capture)| Op::Authorise { who, token, capture }),
        3 => (who.clone(), token.clone(), minor.clone(), any::<bool>())
            .prop_map(|(who, token, minor, keep)| Op::Capture { who, token, minor, keep }),
        1 => (who.clone(), token.clone()).prop_map(|(who, token)| Op::Void { who, token }),
        1 => (who.clone(), token.clone()).prop_map(|(who, token)| Op::Revoke { who, token }),
        2 => (who.clone(), token.clone(), minor.clone()).prop_map(|(who, token, minor)| Op::Refund { who, token, minor }),
        3 => (who.clone(), token.clone(), 0..4_usize, any::<bool>(), minor)
            .prop_map(|(who, token, by, to_payee, minor)| Op::Settle { who, token, by, to_payee, minor }),
        1 => (who, any::<bool>()).prop_map(|(who, frozen)| Op::Freeze { who, frozen }),
        1 => (0..3000_u64, any::<bool>()).prop_map(|(seconds, close)| Op::Pass { seconds, close }),
    ]
}

struct Play {
    world: World,
    people: Vec<Customer>,
    arbiter: SecretKeys,
    tokens: Vec<Token>,
    cash: i128,
}

impl Play {
    async fn new() -> Self {
        let world = World::with_fees().await;
        let mut people = Vec::new();
        for _ in 0..3 {
            people.push(world.customer(500).await);
        }
        let arbiter = SecretKeys::generate(Suite::Ed25519).unwrap();
        Self { world, people, arbiter, tokens: Vec::new(), cash: 1500 }
    }

    async fn play(&mut self, op: Op) -> bool {
        match op {
            Op::Cash { who, minor, out } => {
                let direction = if out { Direction::Out } else { Direction::In };
                let (id, number) = (self.world.id(), self.people[who].number);
                let done = self.world.bank.by_hand(id, direction, number, eur(minor), "").await.is_ok();
                let minor = i128::from(minor);
                self.cash += if done { if out { -minor } else { minor } } else { 0 };
                done
            }
            Op::Token { from, to, minor, level, lock } => {
                let level = [Level::One, Level::Two, Level::Three][usize::from(level - 1)];
                let (payer, payee) = (&self.people[from], &self.people[to]);
                let token = if lock {
                    self.world.locks(payer, payee, &self.arbiter, minor)
                } else {
                    self.world.token(payer, &self.world.said(payer, payee, minor, level))
                };
                self.tokens.push(token);
                true
            }
            Op::Freeze { who, frozen } => {
                let access = if frozen { Access::Frozen } else { Access::Open };
                self.world.bank.set_access(self.people[who].number, access).await.is_ok()
            }
            Op::Pass { seconds, close } => {
                self.world.set_time(self.world.now().after(Seconds(seconds)));
                !close || self.world.bank.close_due().await.is_ok()
            }
            request => match self.action(request) {
                Some((who, action)) => self.world.ask(&self.people[who], action).await.is_ok(),
                None => false,
            },
        }
    }

    fn action(&self, op: Op) -> Option<(usize, Action)> {
        let token = |n: usize| self.tokens.get(n % self.tokens.len().max(1));
        Some(match op {
            Op::Transfer { from, to, minor } => {
                let (amount, to) = (eur(minor), self.people[to].number);
                (from, Action::Transfer { amount, to, reference: "r".to_owned(), fee_most: eur(100) })
            }
            Op::Authorise { who, token: n, capture } => {
                (who, Action::Authorise { token: token(n)?.clone(), capture: capture.map(eur) })
            }
            Op::Capture { who, token: n, minor, keep } => {
                let rest = if keep { Rest::Keep } else { Rest::Release };
                (who, Action::Capture { hold: token(n)?.hold(), amount: eur(minor), rest })
            }
            Op::Void { who, token: n } => (who, Action::Void { hold: token(n)?.hold() }),
            Op::Revoke { who, token: n } => (who, Action::Revoke { hold: token(n)?.hold() }),
            Op::Refund { who, token: n, minor } => (who, Action::Refund { hold: token(n)?.hold(), amount: eur(minor) }),
            Op::Settle { who, token: n, by, to_payee, minor } => {
                let token = token(n)?;
                let keys = self.people.get(by).map_or(&self.arbiter, |customer| &customer.keys);
                let to = if to_payee { Side::Payee } else { Side::Payer };
                (who, Action::Settle { hold: token.hold(), release: release(keys, token.order.order, to, minor) })
            }
            _ => return None,
        })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_books_add_up_after_every_request(ops in prop::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut play = Play::new().await;
            for op in ops {
                play.play(op.clone()).await;
                let audit = play.world.bank.audit().await.unwrap();
                assert_eq!(audit.faults, Vec::<String>::new(), "after {op:?}");
                // What customers have, and the bank has earned, came in as cash.
                let owed: i128 = audit.owed.values().sum();
                assert!(owed <= play.cash, "customers have {owed}, {} came in", play.cash);
            }
            // Everything ends: when all time is over, nothing is held.
            play.world.set_time(play.world.now().after(Seconds(100_000)));
            play.world.bank.close_due().await.unwrap();
            let audit = play.world.bank.audit().await.unwrap();
            assert_eq!((audit.faults, audit.held.values().sum::<u128>()), (Vec::new(), 0));
        });
    }
}
