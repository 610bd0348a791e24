import Glibc
import Testing

@testable import JobServer

/// Tokens: read, kept as digests, compared.
@Suite struct TokenTests {
  private let folder = TemporaryFolder()
  private static let one = "one-token_of.good~length+/=="
  private static let two = "0123456789abcdef"

  private func contains(_ tokens: TokenSet, _ text: String) -> Bool {
    var text = text
    return text.withUTF8 { tokens.contains($0) }
  }

  private func set(_ texts: String...) -> TokenSet {
    var tokens = TokenSet()
    for var text in texts { text.withUTF8 { tokens.insert($0) } }
    return tokens
  }

  // FIPS 180-4's examples, as NIST publishes them, and the empty message.
  @Test(arguments: [
    ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (
      "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    (
      String(repeating: "a", count: 1_000_000),
      "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
    ),
  ])
  func `a token is kept as its SHA-256`(text: String, expected: String) {
    var text = text
    let digest = text.withUTF8 { TokenSet.digest(of: $0) }
    let hexadecimal = digest.indices.map { index in
      (digest[index] < 16 ? "0" : "") + String(digest[index], radix: 16)
    }
    #expect(hexadecimal.joined() == expected)
  }

  @Test func `a set knows its tokens, each once, and no other text`() {
    var tokens = set(Self.one, Self.two, Self.one)
    #expect(tokens.count == 2)
    #expect(contains(tokens, Self.one) && contains(tokens, Self.two))
    for other in ["", "0123456789abcde", Self.two + "0", "0123456789abcdeF", Self.one + Self.two] {
      #expect(!contains(tokens, other), "\(other)")
    }
    #expect(!contains(TokenSet(), ""))
    tokens.formUnion(set(Self.two, "another-token-of-it"))
    #expect(tokens.count == 3)
    #expect(contains(tokens, "another-token-of-it"))
    #expect(!"\(tokens)".contains(Self.one), "what prints a set prints no token")
  }

  // MARK: Reading

  @Test func `a file has a token a line, comments and blanks`() throws {
    let path = folder.file(
      "tokens", "# who\n\n  \(Self.one) \t# for CI\r\n\t\n\(Self.two)#\n\(Self.one)\n#\n")
    let file = try TokenReader.file(path)
    #expect(file.tokens == set(Self.one, Self.two))
    chmod(path, 0o600)
    #expect(try !TokenReader.file(path).isOpenToOthers)
    chmod(path, 0o640)
    #expect(try !TokenReader.file(path).isOpenToOthers)
    chmod(path, 0o604)
    #expect(try TokenReader.file(path).isOpenToOthers)
  }

  @Test func `the last line needs no end`() throws {
    let tokens = try TokenReader.file(folder.file("tokens", "\(Self.two)")).tokens
    #expect(tokens == set(Self.two))
  }

  private static let faults: [(text: String, line: Int?, mention: String)] = [
    ("", nil, "no token in it"), ("# \(one)\n\n", nil, "no token in it"),
    ("\(one)\n0123456789abcde\n", 2, "15 characters; at least 16"),
    ("\(one) \(two)\n", 1, "a character that none has"),
    ("\"\(one)\"\n", 1, "A-Z a-z 0-9"), ("\(two),\(one)\n", 1, "RFC 6750"),
    ("\(two)é\n", 1, "RFC 6750"), ("=\(two)\n", 1, "RFC 6750"), ("\(two)=a\n", 1, "RFC 6750"),
    ("================\n", 1, "RFC 6750"), ("\(two)\0\n", 1, "RFC 6750"),
    ("\u{FEFF}\(two)\n", 1, "RFC 6750"),
    (String(repeating: "a", count: 1_025), 1, "1025 characters; at most 1024"),
    (String(repeating: "#", count: TokenReader.fileBytesMax + 1), nil, "longer than"),
    (
      (0...TokenSet.countMax).map { "\(two)\($0)\n" }.joined(), TokenSet.countMax + 1,
      "more than 1000 tokens"
    ),
  ]

  @Test(arguments: faults.indices)
  func `a file that cannot be used is refused, and its tokens are not told`(index: Int) {
    let fault = Self.faults[index]
    let path = folder.file("tokens", "")
    // Not as a C string: one of them has a NUL.
    let file = open(path, O_WRONLY)
    let bytes = [UInt8](fault.text.utf8)
    #expect(write(file, bytes, bytes.count) == bytes.count)
    close(file)
    let error = #expect(throws: SettingError.self) { _ = try TokenReader.file(path) }
    #expect(error?.source == (fault.line.map { "\(path):\($0)" } ?? path))
    #expect(error?.reason.contains(fault.mention) == true, "\(error?.reason ?? "")")
    #expect(error?.description.contains(Self.two) == false)
    #expect(error?.description.contains(Self.one) == false)
  }

  @Test func `a file that is not there is refused`() {
    for (path, reason) in [
      ("/nowhere/tokens", "No such file or directory"), (folder.path, "Is a directory"),
    ] {
      let error = #expect(throws: SettingError.self) { _ = try TokenReader.file(path) }
      #expect(error?.description == "\(path): cannot be read: \(reason)")
    }
  }

  // MARK: The variable

  /// An environment as a process has it.
  private final class Environment {
    let entries: [UnsafeMutablePointer<CChar>]
    private let lengths: [Int]
    let table: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    init(_ texts: [String]) {
      entries = texts.compactMap { strdup($0) }
      lengths = entries.map { strlen($0) }
      table = .allocate(capacity: texts.count + 1)
      table.initialize(repeating: nil, count: texts.count + 1)
      for (index, entry) in entries.enumerated() { table[index] = entry }
    }

    deinit {
      for entry in entries { free(entry) }
      table.deallocate()
    }

    /// What getenv(3) would go through.
    var texts: [String] {
      var texts: [String] = []
      var next = table
      while let entry = next.pointee {
        texts.append(String(cString: entry))
        next += 1
      }
      return texts
    }

    /// Whether nothing is left where an entry lay.
    func isErased(_ index: Int) -> Bool {
      (0..<lengths[index]).allSatisfy { entries[index][$0] == 0 }
    }
  }

  @Test func `the variable is taken out and overwritten`() throws {
    let environment = Environment([
      "PATH=/bin", "LIDO_TOKENS=\(Self.one), \(Self.two)\n\(Self.one),,", "LIDO_TOKENS_X=a", "X",
      "LIDO_TOKENS=another", "LIDO_SYNC=never",
    ])
    let taken = try TokenVariable.take(from: environment.table)?.get()
    #expect(taken == set(Self.one, Self.two))
    #expect(environment.texts == ["PATH=/bin", "LIDO_TOKENS_X=a", "X", "LIDO_SYNC=never"])
    #expect(environment.isErased(1) && environment.isErased(4))
    #expect(TokenVariable.take(from: environment.table) == nil)
  }

  @Test(arguments: [
    ("", "no token in it"), (" , ", "no token in it"), ("\(one),short", "token 2: a token of 5"),
    ("\(one);\(two)", "token 1: a token with a character"),
  ])
  func `a variable that cannot be used is refused, and erased all the same`(
    value: String, mention: String
  ) {
    let environment = Environment(["LIDO_TOKENS=\(value)"])
    let taken = TokenVariable.take(from: environment.table)
    let error = #expect(throws: SettingError.self) { _ = try taken?.get() }
    #expect(error?.source == "LIDO_TOKENS")
    #expect(error?.reason.contains(mention) == true, "\(error?.reason ?? "")")
    #expect(error?.reason.contains(Self.one) == false)
    #expect(environment.texts.isEmpty && environment.isErased(0))
  }

  // MARK: The header

  @Test(arguments: [
    ("Bearer abc", "abc"), ("bearer abc", "abc"), ("BEARER   abc", "abc"), ("Bearer ", ""),
    ("Bearer a b", "a b"), ("Bearer", nil), ("", nil), ("Basic abc", nil), ("Bearerabc", nil),
    ("Bearer\tabc", nil), (" Bearer abc", nil), ("Token abc", nil),
  ])
  func `a header has a token when its scheme is Bearer`(header: String, token: String?) {
    var header = header
    let found = header.withUTF8 { bytes in
      BearerToken.token(of: bytes).map { String(decoding: $0, as: UTF8.self) }
    }
    #expect(found == token)
  }
}
