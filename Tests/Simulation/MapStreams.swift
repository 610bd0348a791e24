import HTTPServer
import JobCore

@testable import HTTPServer

/// A client that sends the items of a map, one a line, piece by piece.
final class SimulatedInput {
  /// How its body ends.
  private enum Fate { case whole, breaksOff, hasBadLine }

  let ticket: MapTicket
  let stream: RequestStream
  /// Of its request.
  let number: Int
  /// Whether nothing more comes of it.
  var isOver = false
  /// Whether it was told to wait.
  var wasHeld = false
  private let fate: Fate
  private var bytes: [UInt8] = []
  private var sent = 0
  /// Where the line of each item is over.
  private var ends: [Int] = []

  /// - Parameter isWhole: whether its body is without fault in any case.
  init(
    _ ticket: MapTicket, _ stream: RequestStream, _ number: Int, isWhole: Bool, _ chance: Chance
  ) {
    self.ticket = ticket
    self.stream = stream
    self.number = number
    let dice = isWhole ? 0 : chance.below(100)
    fate = dice < 65 ? .whole : dice < 90 ? .breaksOff : .hasBadLine
    let badLine = chance.below(ticket.items.count + 1)
    for (index, item) in ticket.items.enumerated() {
      if fate == .hasBadLine, index == badLine { bytes += Array("[1,\n".utf8) }
      bytes += Array((ticket.space + item).utf8)
      // The end of the body is one of the last line, too; but not of one that breaks off.
      let isLast = index == ticket.items.count - 1
      if isLast, fate == .whole, !ticket.space.isEmpty { break }
      bytes += Array(chance.percent(10) ? "\r\n".utf8 : "\n".utf8)
      if fate != .hasBadLine || index < badLine { ends.append(bytes.count) }
      if chance.percent(10) { bytes += Array(" \n".utf8) }
    }
    if fate == .hasBadLine, badLine == ticket.items.count { bytes += Array("nothing\n".utf8) }
    if fate == .breaksOff { bytes = Array(bytes.prefix(chance.within(0...bytes.count))) }
  }

  var isAtEnd: Bool { sent == bytes.count }
  var breaksOff: Bool { fate == .breaksOff }
  var hasBadLine: Bool { fate == .hasBadLine }

  /// Sends the next bytes.
  func send(_ countMax: Int) {
    let piece = bytes[sent..<min(sent + countMax, bytes.count)]
    sent = piece.endIndex
    let lines = fate == .whole && isAtEnd ? ticket.items.count : ends.count { $0 <= sent }
    ticket.linesSent = max(ticket.linesSent, lines)
    piece.withUnsafeBytes { _ = stream.take($0, refusedMax: .max) }
  }
}

/// A client that reads results of a map as they come.
final class SimulatedReader {
  let ticket: MapTicket
  let map: MapNumber
  let order: MapOrder
  let body: ResponseStream
  /// The first line that it asked for, and the next that it is to hear.
  let firstLine: Int
  var line: Int
  /// Whether nothing more comes of it.
  var isOver = false
  /// The line that ends the stream.
  var last: ResultLine?
  /// The items that it has heard of.
  var seen: Set<Int> = []
  private var partial: [UInt8] = []

  init(_ read: MapRead, _ map: MapNumber, _ body: ResponseStream) {
    ticket = read.ticket
    self.map = map
    order = read.order
    self.body = body
    firstLine = read.line
    line = read.line
  }

  /// How many lines the service has written for it, those included that it asked to leave out.
  var linesWritten: Int {
    line + (partial + body.source.unread).count { $0 == UInt8(ascii: "\n") }
  }

  /// Takes bytes, and hands over the whole lines.
  func take(_ countMax: Int, _ body: ([UInt8]) -> Void) {
    partial += self.body.source.take(atMost: countMax)
    while let end = partial.firstIndex(of: UInt8(ascii: "\n")) {
      let text = Array(partial[..<end])
      partial.removeSubrange(...end)
      body(text)
    }
  }

  /// Whether the service has ended the stream and all of it was read; nil: it goes on.
  var end: (isWhole: Bool, isTorn: Bool)? {
    guard body.source.unread.isEmpty else { return nil }
    switch body.source.state {
    case .open: return nil
    case .finished: return (true, !partial.isEmpty)
    case .failed, .closed: return (false, !partial.isEmpty)
    }
  }

  /// Closes its connection.
  func leave() {
    isOver = true
    body.source.close()
  }
}

/// A request for results as they come.
final class MapRead {
  let ticket: MapTicket
  let order: MapOrder
  /// Lines that the client says it has had.
  let line: Int
  /// The map that has the name when the request arrives.
  var map: MapNumber?

  init(_ ticket: MapTicket, _ order: MapOrder, after line: Int) {
    self.ticket = ticket
    self.order = order
    self.line = line
  }
}
