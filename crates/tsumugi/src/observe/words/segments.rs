//! Words for segments and what serves their hosts.

use crate::observe::status::DhcpTrouble;
use tsumugi_plan::explain::Lang;

/// Why hosts are given no IPv4 addresses.
pub fn dhcp_trouble(trouble: &DhcpTrouble, lang: Lang) -> String {
    match trouble {
        DhcpTrouble::NotInstalled => lang
            .pick(
                "the program dnsmasq is not installed (Debian: apt install dnsmasq-base)",
                "プログラムdnsmasqが入っていません（Debianでは apt install dnsmasq-base）",
            )
            .into(),
        DhcpTrouble::NotStarted { error } => {
            lang.pick(format!("it could not be started: {error}"), format!("起動できませんでした: {error}"))
        }
        DhcpTrouble::Ended { status } => {
            lang.pick(format!("it ended by itself: {status}"), format!("勝手に終了しました: {status}"))
        }
    }
}
