//! The counters of kcptun, as its SIGUSR1 line and its CSV files show them, for the programs on a
//! runtime.

use jiff::Zoned;
use kcptun_async::Runtime;
use kcptun_async::runtime::Timer as _;
use kcptun_config::SnmpLog;
use kcptun_config::snmp_log::{CivilTime, SnmpNews, SnmpWriter};

use crate::service::Service;

pub use kcptun_tunnel::snmp::{CsvHeader, Snmp};

/// Appends a row each period for as long as it is polled.
pub(crate) async fn write_rows<R: Runtime>(runtime: R, file: SnmpLog, service: Service) {
    let mut timer = runtime.timer();
    let mut writer = SnmpWriter::new(file, kcptun_async::now());
    loop {
        let due = writer.due();
        std::future::poll_fn(|cx| timer.poll_until(cx, Some(due))).await;
        let snmp = Snmp::from(&service.stats());
        // A disk may take its time; the tunnel does not wait for it.
        let (back, news) = runtime
            .blocking(move || {
                let news = write_now(&mut writer, &snmp);
                (writer, news)
            })
            .await;
        writer = back;
        let path = writer.path().display();
        match news {
            Some(news @ SnmpNews::Failed(_)) => tracing::error!("--snmplog {path}: {news}"),
            Some(news) => tracing::info!("--snmplog {path}: {news}"),
            None => {}
        }
    }
}

fn write_now(writer: &mut SnmpWriter, snmp: &Snmp) -> Option<SnmpNews> {
    let time = Zoned::now();
    let unix = time.timestamp().as_second();
    with_parts(&time, |parts| writer.write(kcptun_async::now(), unix, parts, snmp))
}

/// A time in parts, for as long as the name of its zone can be had.
fn with_parts<T>(time: &Zoned, then: impl FnOnce(&CivilTime<'_>) -> T) -> T {
    let info = time.time_zone().to_offset_info(time.timestamp());
    // The parts of a time that there is are not negative.
    let small = i8::unsigned_abs;
    then(&CivilTime {
        year: time.year().into(),
        month: small(time.month()),
        day: small(time.day()),
        week_day: small(time.weekday().to_sunday_zero_offset()),
        year_day: time.day_of_year().unsigned_abs(),
        hour: small(time.hour()),
        minute: small(time.minute()),
        second: small(time.second()),
        nanosecond: time.subsec_nanosecond().unsigned_abs(),
        offset: time.offset().seconds(),
        zone: info.abbreviation(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    #[test]
    fn every_part_is_in_its_place() {
        let civil = jiff::civil::date(2026, 3, 4).at(5, 6, 7, 89);
        let zone = TimeZone::posix("MART9:30").unwrap();
        with_parts(&civil.to_zoned(zone).unwrap(), |parts| {
            let date = (parts.year, parts.month, parts.day, parts.week_day, parts.year_day);
            assert_eq!(date, (2026, 3, 4, 3, 63));
            let time = (parts.hour, parts.minute, parts.second, parts.nanosecond);
            assert_eq!(time, (5, 6, 7, 89));
            assert_eq!((parts.offset, parts.zone), (-34_200, "MART"));
        });
    }
}
