import Glibc
import JSON
import TestSupport
import Testing

/// The reader against Python's `json`, which shares nothing with it. `fuzz.py` beside this file
/// makes the cases and says what Python makes of them; the first lines there are the format.
///
/// `LIDO_FUZZ_CASES` sets how many (default 8,000), `LIDO_SEED` repeats a run. It fails where
/// there is no `python3`: a check that silently does not happen is none.
@Suite struct PythonFuzzTests {
  private let count = environment("LIDO_FUZZ_CASES").flatMap(Int.init) ?? 8_000
  private let seed = testSeed()

  @Test func `texts and numbers are judged and read as Python judges and reads them`() throws {
    let folder = #filePath.prefix(through: #filePath.lastIndex(of: "/") ?? #filePath.startIndex)
    let script = folder + "fuzz.py"
    let output = try outputOfProgram("python3", [String(script), "\(count)", "\(seed)"])
    var cases = 0
    for line in output.split(separator: 0x0A) {
      let fields = line.split(separator: 0x20, omittingEmptySubsequences: false).map(Array.init)
      switch String(decoding: fields[0], as: UTF8.self) {
      case "text": try checkText(fields)
      case "number": checkNumber(fields.map { String(decoding: $0, as: UTF8.self) })
      default: Issue.record("fuzz.py wrote \(String(decoding: line, as: UTF8.self))")
      }
      cases += 1
    }
    #expect(cases == 2 * count)
  }

  @Test func `a program that is missing or fails is a failure`() throws {
    #expect(throws: ProgramFailure.self) { try outputOfProgram("no-such-program-as-this", []) }
    #expect(throws: ProgramFailure.self) { try outputOfProgram("sh", ["-c", "echo x; exit 3"]) }
    #expect(try outputOfProgram("sh", ["-c", "printf x"]) == [0x78])
  }

  private func checkText(_ fields: [[UInt8]]) throws {
    let text = bytes(fields[1])
    let verdict = Result { () throws(JSONError) in try minifiedJSON(text) }
    let walk = Result { () throws(JSONError) in
      try JSONReader.read(text) { (reader) throws(JSONError) in try walked(&reader) }
    }
    let comment: Comment = "\(String(decoding: text, as: UTF8.self)), seed \(seed)"
    if fields[2] == Array("yes".utf8) {
      #expect(try Array(verdict.get().utf8) == bytes(fields[3]), comment)
      #expect(try walk.get() == bytes(fields[4]), comment)
    } else {
      #expect(throws: JSONError.self, comment) { try verdict.get() }
      #expect(throws: JSONError.self, comment) { try walk.get() }
    }
  }

  private func checkNumber(_ fields: [String]) {
    let (text, bits, integer) = (fields[1], fields[2], fields[3])
    let double = Result { () throws(JSONError) in
      try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readDouble() }
    }
    let int = Result { () throws(JSONError) in
      try JSONReader.read(text) { (reader) throws(JSONError) in try reader.readInt() }
    }
    let comment: Comment = "\(text), seed \(seed)"
    switch double {
    case .success(let value): #expect(value.bitPattern == UInt64(bits, radix: 16), comment)
    case .failure(let error):
      #expect(error.reason == .numberOutOfRange && bits == "inf", comment)
    }
    switch int {
    case .success(let value): #expect(value == Int(integer), comment)
    case .failure(let error):
      let expected: JSONError.Reason = integer == "big" ? .numberOutOfRange : .notAnInteger
      #expect(error.reason == expected && Int(integer) == nil, comment)
    }
  }

  /// The bytes that `hex` writes.
  private func bytes(_ hex: [UInt8]) -> [UInt8] {
    func digit(_ byte: UInt8) -> UInt8 { byte < 0x40 ? byte - 0x30 : byte - 0x57 }
    return stride(from: 0, to: hex.count - 1, by: 2).map {
      digit(hex[$0]) << 4 | digit(hex[$0 + 1])
    }
  }
}

/// Why a program's output could not be had.
struct ProgramFailure: Error, CustomStringConvertible {
  let description: String
}

/// Runs `program`, found on the path, and answers what it wrote to its standard output. It must
/// exit with 0; it is killed when it writes nothing for 60 seconds.
func outputOfProgram(_ program: String, _ arguments: [String]) throws -> [UInt8] {
  // A socket pair for a pipe: it can be closed on exec from the start, so that no process that
  // another test starts meanwhile holds the end that must close.
  var ends: [Int32] = [-1, -1]
  let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw failure("socketpair", errno) }
  defer { close(ends[0]) }
  var actions = posix_spawn_file_actions_t()
  posix_spawn_file_actions_init(&actions)
  defer { posix_spawn_file_actions_destroy(&actions) }
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
  var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
  defer { for argument in argv { free(argument) } }
  var process: pid_t = 0
  let error = posix_spawnp(&process, program, &actions, nil, &argv, environ)
  close(ends[1])
  guard error == 0 else { throw failure("starting \(program)", error) }

  let output = Result { try readToEnd(ends[0]) }
  if case .failure = output { kill(process, SIGKILL) }
  var status: Int32 = 0
  while waitpid(process, &status, 0) < 0 && errno == EINTR {}
  let bytes = try output.get()
  guard status == 0 else { throw ProgramFailure(description: "\(program): wait status \(status)") }
  return bytes
}

private func readToEnd(_ descriptor: Int32) throws -> [UInt8] {
  var output: [UInt8] = []
  var chunk = [UInt8](repeating: 0, count: 1 << 16)
  while true {
    var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let ready = poll(&state, 1, 60_000)
    if ready < 0 && errno == EINTR { continue }
    guard ready > 0 else { throw failure("waiting for output", ready == 0 ? ETIMEDOUT : errno) }
    let count = read(descriptor, &chunk, chunk.count)
    if count < 0 && errno == EINTR { continue }
    guard count >= 0 else { throw failure("read", errno) }
    if count == 0 { return output }
    output += chunk[..<count]
  }
}

private func failure(_ action: String, _ code: Int32) -> ProgramFailure {
  ProgramFailure(description: "\(action): \(String(cString: strerror(code)))")
}
