use super::*;
use crate::declaration;

const TWO_HOMES: &str = include_str!("../../../../examples/two-homes.toml");

fn compiled(text: &str) -> NetworkPlan {
    let (declaration, problems) = declaration::parse(text);
    assert_eq!(problems, []);
    compile(&declaration.expect("a declaration without problems")).expect("a plan")
}

#[test]
fn two_homes() {
    let plan = compiled(TWO_HOMES);
    insta::assert_snapshot!(serde_json::to_string_pretty(&plan.routers).unwrap());
}

#[test]
fn a_sealed_plan_reads_back_and_its_hash_holds() {
    for plan in compiled(TWO_HOMES).routers {
        let read: RouterPlan = serde_json::from_str(&serde_json::to_string(&plan).unwrap()).unwrap();
        assert_eq!(read, plan);
        assert_eq!(hash_of(&read), plan.hash);
        let changed = RouterPlan { generation: 7, ..read };
        assert_ne!(hash_of(&changed), plan.hash);
    }
}
