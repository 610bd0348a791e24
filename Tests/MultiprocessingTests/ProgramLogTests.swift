import TestSupport
import Testing

@testable import Multiprocessing

extension ProgramLog {
  fileprivate mutating func append(_ text: String) {
    Array(text.utf8).withUnsafeBytes { append($0) }
  }

  fileprivate func text(from offset: Int = 0, atMost limit: Int = .max) -> String {
    String(decoding: read(from: offset, atMost: limit).bytes, as: UTF8.self)
  }
}

@Suite struct ProgramLogTests {
  @Test func `what fits is kept as it is`() {
    var log = ProgramLog(bytesMax: 10)
    #expect(log.text() == "" && log.count == 0 && log.leftOut.isEmpty)
    log.append("abcd")
    log.append("")
    log.append("efghij")
    #expect(log.text() == "abcdefghij" && log.count == 10 && log.leftOut.isEmpty)
    #expect(log.text(from: 3, atMost: 4) == "defg")
    #expect(log.text(from: 7) == "hij")
  }

  @Test func `beyond the bound the middle is left out, with a mark`() {
    var log = ProgramLog(bytesMax: 10)
    log.append("abcdefghijklmno")
    #expect(log.leftOut == 5..<10)
    #expect(log.text() == "abcde\n[... 5 bytes left out ...]\nklmno")
    log.append("pq")
    #expect(log.text() == "abcde\n[... 7 bytes left out ...]\nmnopq")
    #expect(log.text(from: log.count - 3) == "opq")
  }

  @Test func `a follower reads on from where it was`() {
    var log = ProgramLog(bytesMax: 10)
    log.append("abcdefg")
    let first = log.read(from: 0)
    #expect(first.nextOffset == 7)
    log.append("hij")
    #expect(log.text(from: 7) == "hij")
    // It was away too long: what it missed is counted from its place.
    log.append("klmnopqrstuvwxyz")
    #expect(log.text(from: 7) == "\n[... 14 bytes left out ...]\nvwxyz")
    #expect(log.read(from: 26) == ProgramLog.Piece(bytes: [], nextOffset: 26))
    #expect(log.read(from: 99) == ProgramLog.Piece(bytes: [], nextOffset: 26))
    #expect(log.text(from: -5, atMost: 2) == "ab")
  }

  @Test func `a limit is kept and every reading goes on`() {
    var log = ProgramLog(bytesMax: 9)
    log.append("abcdefghijklmno")
    #expect(log.read(from: 0, atMost: 5) == .init(bytes: Array("abcde".utf8), nextOffset: 5))
    let mark = ProgramLog.mark(leavingOut: 6)
    #expect(log.read(from: 5, atMost: 1) == .init(bytes: Array("\(mark)l".utf8), nextOffset: 12))
    #expect(log.read(from: 3, atMost: 0) == .init(bytes: [], nextOffset: 3))
  }

  /// Against the whole text, for pieces and bounds of all sizes.
  @Test func `it keeps what a simple log would`() {
    let seed = testSeed()
    var random = SplitMix(seed: seed)
    for _ in 0..<300 {
      let bytesMax = Int.random(in: 2...40, using: &random)
      var log = ProgramLog(bytesMax: bytesMax)
      var all: [UInt8] = []
      for _ in 0..<Int.random(in: 0...12, using: &random) {
        let piece = (0..<Int.random(in: 0...30, using: &random)).map {
          UInt8($0 + all.count & 0x7f)
        }
        all += piece
        piece.withUnsafeBytes { log.append($0) }
        check(log, against: all, bytesMax, seed: seed)
      }
    }
  }

  private func check(_ log: ProgramLog, against all: [UInt8], _ bytesMax: Int, seed: UInt64) {
    #expect(log.count == all.count, "seed \(seed)")
    let tailMax = bytesMax / 2
    let headCount = min(all.count, bytesMax - tailMax)
    let tailStart = max(headCount, all.count - tailMax)
    for offset in 0...all.count {
      var wanted: [UInt8] = []
      if offset < headCount { wanted += all[offset..<headCount] }
      if offset < tailStart && headCount < tailStart {
        wanted += ProgramLog.mark(leavingOut: tailStart - max(offset, headCount)).utf8
      }
      wanted += all[max(offset, tailStart)...]
      #expect(
        log.read(from: offset) == .init(bytes: wanted, nextOffset: all.count), "seed \(seed)")
    }
  }
}
