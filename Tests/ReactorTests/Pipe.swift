import Glibc
import Testing

/// Both ends of a pipe or of a pair of stream sockets, closed with the object.
final class Pipe {
  private(set) var reader: Int32
  private(set) var writer: Int32

  init() {
    var ends: [Int32] = [-1, -1]
    #expect(pipe(&ends) == 0)
    for end in ends { #expect(fcntl(end, F_SETFD, FD_CLOEXEC) == 0) }
    (reader, writer) = (ends[0], ends[1])
  }

  /// Two connected sockets; either end reads and writes.
  init(socketPair: Void) {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    #expect(socketpair(AF_UNIX, type, 0, &ends) == 0)
    (reader, writer) = (ends[0], ends[1])
  }

  deinit {
    closeReader()
    closeWriter()
  }

  func send(_ byte: UInt8 = 1) {
    var byte = byte
    #expect(write(writer, &byte, 1) == 1)
  }

  func receive() -> UInt8 {
    var byte: UInt8 = 0
    #expect(read(reader, &byte, 1) == 1)
    return byte
  }

  func closeReader() {
    if reader >= 0 { close(reader) }
    reader = -1
  }

  func closeWriter() {
    if writer >= 0 { close(writer) }
    writer = -1
  }
}
