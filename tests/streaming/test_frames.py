"""Frames: on disk before they matter, decoded exactly, and a torn last line never read."""

from decimal import Decimal
from pathlib import Path

from qtm.execution.updates import OrderUpdate
from qtm.trading.orders import Fill, OrderStatus, Side
from streaming.frames import (
    HISTORY,
    KLINE,
    USER,
    FrameJournal,
    HistoryRow,
    decode,
    frame,
    history_frame,
    refusal_frame,
    report_frame,
)
from streaming.messages import BarMessage, PriceMessage, RefusalMessage, ReportMessage

CLOSED = (
    b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","E":1735689660003,"s":"BTCUSDT","k":{"t":1735689600000,'
    b'"T":1735689659999,"s":"BTCUSDT","i":"1m","f":1,"L":2,"o":"93576.00000000","c":"93610.93000000",'
    b'"h":"93702.15000000","l":"93540.12000000","v":"8.36206000","n":2,"x":true,"q":"0","V":"0","Q":"0"}}}'
)


def test_a_closed_kline_is_a_bar_with_its_exact_close() -> None:
    message = decode(KLINE, CLOSED, received_ns=5, wall_ms=None)
    assert isinstance(message, BarMessage)
    assert (message.bar.open_time_ms, message.bar.close_time_ms) == (1735689600000, 1735689659999)
    assert message.bar.close == 93610.93 and message.close == Decimal("93610.93")
    assert message.bar.volume == 8.36206
    assert message.now_ms == 1735689660000  # a replay's time is the close, not the wall clock
    assert message.tradable and message.received_ns == 5


def test_an_unfinished_kline_is_only_a_price() -> None:
    message = decode(KLINE, CLOSED.replace(b'"x":true', b'"x":false'), received_ns=0, wall_ms=77)
    assert message == PriceMessage("BTCUSDT", Decimal("93610.93"), 77)


def test_what_is_written_comes_back_in_order_from_any_offset(tmp_path: Path) -> None:
    journal = FrameJournal(tmp_path / "frames.log")
    fill = Fill("a-1", 7, "BTCUSDT", Side.BUY, Decimal("0.10"), Decimal("5"), Decimal(0), "BTC", False, 3)
    update = OrderUpdate("a-1", "BTCUSDT", OrderStatus.FILLED, (fill,), Decimal("0.10"))
    row = HistoryRow("BTCUSDT", 1, 2, "3", "4", "2", "3.5", "10", True)
    offset = journal.append([frame(KLINE, CLOSED), report_frame(update)])
    journal.append([refusal_frame("BTCUSDT", "a-2", ("PT-03",)), history_frame(row)])
    journal.close()
    again = FrameJournal(tmp_path / "frames.log")
    whole = [decode(kind, payload, received_ns=0, wall_ms=None) for kind, payload, _ in again.read(0)]
    tail = [decode(kind, payload, received_ns=0, wall_ms=None) for kind, payload, _ in again.read(offset)]
    assert whole[1] == ReportMessage(update)
    assert whole[2:] == tail
    assert tail[0] == RefusalMessage("BTCUSDT", "a-2", ("PT-03",))
    assert isinstance(tail[1], BarMessage) and tail[1].tradable


def test_a_line_torn_by_a_power_cut_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "frames.log"
    first = FrameJournal(path)
    whole = first.append([frame(KLINE, CLOSED)])
    first.append([frame(KLINE, CLOSED)[:100]])
    first.close()
    mended = FrameJournal(path)
    assert [offset for _, _, offset in mended.read(0)] == [whole]
    mended.append([frame(KLINE, CLOSED)])
    assert len(list(mended.read(0))) == 2


def test_the_user_stream_reports_executions_and_nothing_else() -> None:
    report = (
        b'{"subscriptionId":0,"event":{"e":"executionReport","E":9,"s":"BTCUSDT","c":"trend-BTCUSDT-0000001",'
        b'"S":"BUY","o":"LIMIT","f":"IOC","q":"1","p":"5","C":"","x":"TRADE","X":"FILLED","r":"NONE","i":4,'
        b'"l":"1.00","z":"1.00","L":"4.99","n":"0.001","N":"BTC","T":8,"t":33,"m":false}}'
    )
    message = decode(USER, report, received_ns=0, wall_ms=None)
    assert isinstance(message, ReportMessage)
    (fill,) = message.update.fills
    assert (fill.trade_id, fill.price, fill.fee) == (33, Decimal("4.99"), Decimal("0.001"))
    assert message.update.status is OrderStatus.FILLED and message.update.executed_qty == 1
    balance = b'{"subscriptionId":0,"event":{"e":"outboundAccountPosition","E":9,"u":9,"B":[]}}'
    assert decode(USER, balance, received_ns=0, wall_ms=None) is None


def test_history_kind_is_not_a_live_frame() -> None:
    row = history_frame(HistoryRow("BTCUSDT", 1, 2, "3", "4", "2", "3.5", "10", False))
    message = decode(HISTORY, row[1:-1], received_ns=0, wall_ms=None)
    assert isinstance(message, BarMessage) and not message.tradable
