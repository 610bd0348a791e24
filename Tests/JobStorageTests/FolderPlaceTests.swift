import Glibc
import JobCore
import Testing

@testable import JobStorage

/// A data folder that goes away under its service, on the real disk.
@Suite struct FolderPlaceTests {
  private let records = Array(Story(seed: 3, count: 8).records)

  /// Makes a folder, hands it with one beside it to `body`, and removes everything.
  private func inFolder(_ body: (_ data: String, _ aside: String) throws -> Void) throws {
    var template = Array("/tmp/lido-place-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let parent = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer {
      for folder in [parent + "/data", parent + "/aside", parent] {
        if let names = try? POSIXFileSystem().list(folder) {
          for name in names { unlink("\(folder)/\(name)") }
        }
        rmdir(folder)
      }
    }
    try body(parent + "/data", parent + "/aside")
  }

  private func open(_ path: String) throws(StorageError) -> JobStorage {
    try JobStorage.open(path, sync: .always, processID: getpid(), at: .at(0)).storage
  }

  @Test func `a folder that is not there takes no records, and takes them when it is back`() throws
  {
    try inFolder { data, aside in
      let storage = try open(data)
      try storage.append([records[0]], at: .at(1))
      try #require(rename(data, aside) == 0)
      #expect(throws: StorageError.self) { try storage.append([records[1]], at: .at(150)) }
      #expect(throws: StorageError.self) { try storage.retryPending(at: .at(151)) }
      #expect(storage.pendingCount == 1 && storage.appendedSequence == 1)
      try #require(rename(aside, data) == 0)
      try storage.retryPending(at: .at(152))
      #expect(storage.pendingCount == 0 && storage.appendedSequence == 2)
      try storage.close(at: .at(160))
    }
  }

  @Test func `a folder in the place of another takes no records`() throws {
    try inFolder { data, aside in
      let storage = try open(data)
      try #require(rename(data, aside) == 0)
      let other = try open(data)
      #expect(throws: StorageError.self) { try storage.append([records[0]], at: .at(150)) }
      try other.append([records[0]], at: .at(150))
      #expect(throws: StorageError.self) { try storage.close(at: .at(151)) }
      try other.close(at: .at(152))
    }
  }

  @Test func `a look is good for a while, and the last one is fresh`() throws {
    try inFolder { data, aside in
      let storage = try open(data)
      try #require(rename(data, aside) == 0)
      try storage.append([records[0]], at: .at(99))
      #expect(storage.appendedSequence == 1)
      #expect(throws: StorageError.self) { try storage.close(at: .at(99)) }
    }
  }
}
