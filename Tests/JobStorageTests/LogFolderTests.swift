import JobCore
import Testing

@testable import JobStorage

/// What is kept of jobs' output, and what a full disk does to it.
@Suite struct LogFolderTests {
  private let disk = MemoryFileSystem()

  init() throws {
    try disk.makeDirectory("data")
  }

  private func folder(
    bytesMax: Int = .max, held: @escaping (JobNumber) -> Bool = { _ in true }
  ) throws -> LogFolder {
    try LogFolder("data/logs", bytesMax: bytesMax, isHeld: held, fileSystem: disk)
  }

  private func log(_ text: String, leftOut: Int = 0, tail: String = "") -> JobLog {
    JobLog(
      count: text.utf8.count + leftOut + tail.utf8.count, head: Array(text.utf8),
      tail: Array(tail.utf8))
  }

  @Test func `a log is read as it was kept, also by the next server`() throws {
    let logs = try folder()
    try logs.keep(log("beginning\n", leftOut: 1_000, tail: "end\n"), of: 7, .stderr)
    try logs.keep(log("out"), of: 7, .stdout)
    for logs in [logs, try folder()] {
      #expect(logs.log(of: 7, .stderr) == log("beginning\n", leftOut: 1_000, tail: "end\n"))
      #expect(logs.log(of: 7, .stdout) == log("out"))
      #expect(logs.log(of: 8, .stderr) == nil)
      #expect(logs.holds(7) && !logs.holds(8))
    }
    #expect(disk.openCount == 0)
  }

  @Test func `a piece is that part of the whole, and no more is read`() throws {
    let logs = try folder()
    try logs.keep(log("0123456789", leftOut: 20, tail: "ABCDEF"), of: 7, .stderr)
    let whole = Array("0123456789".utf8) + Array(repeating: 0, count: 20) + Array("ABCDEF".utf8)
    for offset in -1...40 {
      for limit in 0...40 {
        let piece = try #require(logs.read(of: 7, .stderr, from: offset, atMost: limit))
        let from = min(max(offset, 0), whole.count)
        #expect(piece.offset == from && piece.count == whole.count)
        #expect(piece.head == Array(whole[min(from, 10)..<10].prefix(limit)))
        let room = limit - piece.head.count
        let tailAt = max(from, 30)
        let reachesTail = room > 0 && from + piece.head.count >= 10
        #expect(piece.tail == (reachesTail ? Array(whole[tailAt...].prefix(room)) : []))
        #expect(piece.leftOut == (reachesTail ? tailAt - max(from, 10) : 0))
      }
    }
    #expect(disk.openCount == 0)
  }

  @Test func `the next attempt's log takes the place of the last one's`() throws {
    let logs = try folder()
    try logs.keep(log("first"), of: 7, .stderr)
    try logs.keep(log("second"), of: 7, .stderr)
    #expect(logs.log(of: 7, .stderr) == log("second"))
    try logs.keep(log(""), of: 7, .stderr)
    #expect(logs.log(of: 7, .stderr) == nil)
    #expect(disk.files.isEmpty && logs.bytes == 0)
  }

  @Test func `the logs of jobs that are not held go at the start`() throws {
    let logs = try folder()
    for job in JobNumber(1)...4 { try logs.keep(log("text"), of: job, .stderr) }
    disk.files["data/logs/notes.txt"] = MemoryFileSystem.Node()
    let next = try folder(held: { $0 == 2 })
    #expect(next.log(of: 2, .stderr) == log("text"))
    #expect(next.log(of: 3, .stderr) == nil)
    #expect(disk.files.count == 2, "what is not ours stays")
  }

  @Test func `what can be neither used nor removed is passed over at the start`() throws {
    let logs = try folder()
    for job in JobNumber(1)...4 { try logs.keep(log("text"), of: job, .stderr) }
    #expect(try folder(held: { $0 > 2 }).passedOver == nil)
    // Making and listing the folder are two; then each name is one call.
    for call in 3...6 {
      for job in JobNumber(1)...2 { try logs.keep(log("text"), of: job, .stderr) }
      disk.failAt = disk.calls + call
      let next = try folder(held: { $0 > 2 })
      #expect(next.passedOver?.count == 1 && next.passedOver?.first.code == .callFailed)
      #expect((3...4).map { next.holds($0) } == [call != 5, call != 6])
    }
    for call in 1...2 {
      disk.failAt = disk.calls + call
      #expect(throws: StorageError.self) { try folder() }
    }
  }

  @Test func `beyond the bound the oldest go`() throws {
    let one = try folder()
    try one.keep(log("text"), of: 1, .stderr)
    let size = one.bytes
    one.remove(1)
    let logs = try folder(bytesMax: size * 3)
    for job in JobNumber(1)...5 { try logs.keep(log("text"), of: job, .stderr) }
    #expect((1...5).map { logs.holds($0) } == [false, false, true, true, true])
    #expect(logs.bytes == size * 3)
    logs.remove(4)
    try logs.keep(log("text"), of: 6, .stderr)
    #expect((1...6).map { logs.holds($0) } == [false, false, true, false, true, true])
  }

  @Test func `one log that is larger than the bound is kept alone`() throws {
    let logs = try folder(bytesMax: 10)
    try logs.keep(log("1"), of: 1, .stderr)
    try logs.keep(log(String(repeating: "x", count: 99)), of: 2, .stderr)
    #expect(!logs.holds(1) && logs.holds(2))
  }

  /// Removes the files that are not wanted any more, as the background does.
  private func remove(_ paths: [String]) throws {
    for path in paths { try disk.remove(path) }
  }

  @Test func `one large log drops many small ones without a call on the disk`() throws {
    let logs = try folder(bytesMax: 2_000)
    for job in JobNumber(1)...40 { try logs.keep(log("text"), of: job, .stderr) }
    #expect(!logs.hasUnwanted)
    try logs.keep(log(String(repeating: "x", count: 1_950)), of: 41, .stderr)
    #expect((1...40).allSatisfy { !logs.holds($0) } && logs.bytes < 2_000)
    #expect(disk.files.count == 41)
    for left in [31, 21, 11, 1] {
      let paths = logs.takeUnwanted(atMost: 10)
      #expect(paths.count == 20)
      try remove(paths)
      #expect(logs.unwantedAreGone() == [])
      #expect(disk.files.count == left)
    }
    #expect(!logs.hasUnwanted)
  }

  @Test func `a log in the place of one that is to be removed is not removed with it`() throws {
    let logs = try folder()
    for job in JobNumber(1)...2 { try logs.keep(log("first"), of: job, .stderr) }
    for job in JobNumber(1)...2 { logs.remove(job) }
    try logs.keep(log("out"), of: 1, .stdout)
    #expect(logs.log(of: 1, .stderr) == nil && disk.files.count == 2)
    try remove(logs.takeUnwanted(atMost: 10))
    #expect(logs.unwantedAreGone() == [])
    #expect(logs.log(of: 1, .stdout) == log("out") && disk.files.count == 1)
    logs.remove(1)
    try remove(logs.takeUnwanted(atMost: 10))
    #expect(disk.files.isEmpty)
  }

  @Test func `a log in the place of one that is being removed waits until that is over`() throws {
    let logs = try folder()
    for job in JobNumber(1)...2 { try logs.keep(log("first"), of: job, .stderr) }
    for job in JobNumber(1)...2 { logs.remove(job) }
    let paths = logs.takeUnwanted(atMost: 10)
    try logs.keep(log("second"), of: 1, .stderr)
    try logs.keep(log("third"), of: 1, .stderr)
    try logs.keep(log("dropped"), of: 2, .stderr)
    logs.remove(2)
    #expect(!logs.holds(1) && logs.hasUnwanted)
    try remove(paths)
    let late = logs.unwantedAreGone()
    #expect(late == [.init(log: log("third"), job: 1, stream: .stderr)])
    for one in late { try logs.keep(one.log, of: one.job, one.stream) }
    #expect(logs.log(of: 1, .stderr) == log("third") && !logs.hasUnwanted)
  }

  @Test func `on a full disk nothing half is kept`() throws {
    let logs = try folder()
    disk.capacity = 50
    #expect(throws: StorageError.self) {
      try logs.keep(log(String(repeating: "x", count: 99)), of: 1, .stderr)
    }
    #expect(!logs.holds(1) && disk.files.isEmpty && logs.bytes == 0)
    #expect(disk.openCount == 0)
    disk.capacity = .max
    try logs.keep(log("text"), of: 1, .stderr)
    #expect(logs.log(of: 1, .stderr) == log("text"))
  }

  @Test(arguments: ["", "x", "{}\n", "{\"log\":1,\"count\":1,\"head\":9}\nabc", "\n"])
  func `a file that is none is no log`(content: String) throws {
    let logs = try folder()
    let node = MemoryFileSystem.Node()
    node.bytes = Array(content.utf8)
    disk.files["data/logs/00000000000000000007.stderr"] = node
    #expect(try folder().log(of: 7, .stderr) == nil)
    #expect(logs.log(of: 7, .stderr) == nil)
  }
}
