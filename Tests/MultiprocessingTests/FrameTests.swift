import JSON
import Testing

@testable import Multiprocessing

@Suite struct FrameTests {
  struct Seen: Equatable {
    var kind: UInt8
    var call: UInt64
    var payload: [UInt8]
  }

  private func stream() -> ([UInt8], [Seen]) {
    var bytes: [UInt8] = []
    var wanted: [Seen] = []
    for (call, size) in [(UInt64(1), 0), (2, 5), (.max, 70_000), (4, 1)] {
      let payload = [UInt8](repeating: UInt8(size & 0xff), count: size)
      let start = bytes.beginFrame(.returned, call: call)
      bytes += payload
      bytes.endFrame(start)
      wanted.append(Seen(kind: FrameKind.returned.rawValue, call: call, payload: payload))
    }
    return (bytes, wanted)
  }

  @Test(arguments: [1, 2, 3, 12, 13, 14, 1000, 65536, 1_000_000])
  func `frames come whole however the stream is cut`(size: Int) throws {
    let (bytes, wanted) = stream()
    var seen: [Seen] = []
    var input = FrameInput()
    for start in stride(from: 0, to: bytes.count, by: size) {
      try bytes[start..<min(start + size, bytes.count)].withUnsafeBytes { piece in
        try input.take(piece) { frame in
          seen.append(Seen(kind: frame.kind, call: frame.call, payload: Array(frame.payload)))
          return true
        }
      }
    }
    #expect(seen == wanted)
  }

  /// Also behind another frame, and of a result that has left its writer's window.
  @Test(arguments: [1, 1024, 1025, 70_000])
  func `an answer is the frame that its pieces make`(size: Int) {
    var whole = [UInt8](repeating: 7, count: 3)
    var wanted = whole
    for (call, isRetiring) in [(UInt64(1), false), (.max, true)] {
      var result = JSONWriter()
      for _ in 0..<size { result.raw("1") }
      whole.appendAnswer(
        .raised, call: call, isRetiring: isRetiring, microseconds: 0x0102_0304, &result)
      let start = wanted.beginFrame(.raised, call: call)
      wanted.append(isRetiring ? 1 : 0)
      wanted.append(littleEndian: UInt32(0x0102_0304))
      wanted += result.bytes
      wanted.endFrame(start)
    }
    #expect(whole == wanted)
  }

  @Test(arguments: [[UInt8]([0, 0, 0, 0]), [8, 0, 0, 0], [255, 255, 255, 255, 1]])
  func `a length that cannot be is refused`(bytes: [UInt8]) {
    var input = FrameInput()
    #expect(throws: FrameError.self) {
      try bytes.withUnsafeBytes { try input.take($0) { _ in true } }
    }
    // Also when it comes byte by byte.
    var slow = FrameInput()
    #expect(throws: FrameError.self) {
      for byte in bytes { try [byte].withUnsafeBytes { try slow.take($0) { _ in true } } }
    }
  }

  @Test func `a frame beyond its reader's bound is refused before it has come`() throws {
    for (size, isTaken) in [(100 - 9, true), (100 - 8, false)] {
      var bytes: [UInt8] = []
      let start = bytes.beginFrame(.returned, call: 1)
      bytes += [UInt8](repeating: 49, count: size)
      bytes.endFrame(start)
      var input = FrameInput(bytesMax: 100)
      var count = 0
      let head = bytes[..<4]
      try? head.withUnsafeBytes { try input.take($0) { _ in true } }
      if isTaken {
        try bytes[4...].withUnsafeBytes {
          try input.take($0) { _ in
            count += 1
            return true
          }
        }
        #expect(count == 1)
      } else {
        var other = FrameInput(bytesMax: 100)
        #expect(throws: FrameError.self) {
          try head.withUnsafeBytes { try other.take($0) { _ in true } }
        }
      }
    }
  }

  @Test func `the text of an error is bounded`() {
    var writer = JSONWriter()
    let long = String(repeating: "\u{1}", count: 10_000_000)
    TaskFailure(.raised, type: long, message: long).write(to: &writer)
    #expect(writer.bytes.count < Frame.overheadBytesMax)
    #expect(String(decoding: writer.bytes.suffix(40), as: UTF8.self).contains("bytes left out"))
    var exact = JSONWriter()
    let text = String(repeating: "é", count: Frame.messageBytesMax / 2)
    TaskFailure(.raised, type: "T", message: text).write(to: &exact)
    #expect(String(decoding: exact.bytes, as: UTF8.self).contains(text + "\""))
  }

  @Test func `a payload is never read beyond its end`() {
    let bytes: [UInt8] = [3, 65, 66]
    bytes.withUnsafeBytes {
      var reader = PayloadReader($0)
      #expect(reader.name() == nil)
      var other = PayloadReader($0)
      #expect(other.number(UInt32.self) == nil)
      #expect(other.number(UInt8.self) == 3)
      #expect(other.piece(3) == nil)
      #expect(Array(other.rest()) == [65, 66])
      #expect(other.isAtEnd)
    }
  }
}
