import JSON
import JobCore

/// Reads the body of `POST /v1/jobs`, and that of `POST /v1/maps`, which has most of its members.
///
/// Arguments pass through as opaque JSON text; every other member is checked. Unknown and repeated
/// members are refused, so that a typing error never passes silently; `null` for an optional member
/// is the same as leaving it out.
struct SubmissionReader {
  /// Longest name of a task, in characters as JSON Schema counts them: Unicode scalars.
  static let taskLengthMax = 200
  /// Most tags of a job, and the longest one in such characters.
  static let tagsMax = 32
  static let tagLengthMax = 100
  /// Most attempts.
  static let attemptsMax = 100
  /// The longest path of a script, in bytes: PATH_MAX without its NUL.
  static let mainBytesMax = 4_095
  /// Most items of a chunk.
  static let chunkSizeMax = 1_000_000_000
  /// Longest time limit, in seconds: a year.
  static let timeoutMax = 31_536_000.0

  private enum Member: String, CaseIterable {
    case task, args, kwargs, pool, id, timeout, tags, items, star, encoding, main
    case chunkSize = "chunksize"
    case attemptsMax = "max_attempts"
    case onInterrupt = "on_interrupt"

    /// A bit of its own. Read for every member of every submission: a constant, no search.
    var bit: UInt16 {
      switch self {
      case .task: 1
      case .args: 1 << 1
      case .kwargs: 1 << 2
      case .pool: 1 << 3
      case .id: 1 << 4
      case .timeout: 1 << 5
      case .tags: 1 << 6
      case .items: 1 << 7
      case .star: 1 << 8
      case .encoding: 1 << 9
      case .main: 1 << 10
      case .chunkSize: 1 << 11
      case .attemptsMax: 1 << 12
      case .onInterrupt: 1 << 13
      }
    }

    /// The member with this name. Those that every job has are looked for first.
    init?(named name: String) {
      if name == "task" {
        self = .task
      } else if name == "args" {
        self = .args
      } else {
        self.init(rawValue: name)
      }
    }

    /// Whether a job has it, or with `isMap` a map.
    func belongs(toMap isMap: Bool) -> Bool {
      switch self {
      case .args, .kwargs: !isMap
      case .items, .star, .chunkSize: isMap
      default: true
      }
    }
  }

  private let isMap: Bool
  private var itemText: [UInt8] = []
  private var itemStarts: ContiguousArray<UInt32> = []
  private var hasItems = false
  private var isStar = false
  private var chunkSize: Int?

  private var task = ""
  private var args = "[]"
  private var kwargs = ""
  private var pool: String?
  private var id: JobID?
  private var timeout: Milliseconds?
  private var tags: [String] = []
  private var attemptsMax = 1
  private var onInterrupt = OnInterrupt.requeue
  private var encoding = Encoding.json
  private var main: String?
  private var problem: Problem?
  /// The pointer to the element that is being read; empty where it is the member itself.
  private var elementPlace = ""

  private init(isMap: Bool = false) {
    self.isMap = isMap
  }

  /// The map that `body` asks for, under the client's `key` if it gave one.
  ///
  /// - Parameter isStreamed: whether its items are to come later.
  static func readMap(
    _ body: [UInt8], idempotencyKey key: String?, isStreamed: Bool = false
  ) throws(Problem) -> MapSubmission {
    var reader = SubmissionReader(isMap: true)
    try body.withUnsafeBufferPointer { (bytes) throws(Problem) in
      try reader.read(bytes, calling: "the body")
    }
    guard reader.hasItems || isStreamed else {
      throw .invalid("a map has items: an array", at: "/items")
    }
    let items = MapItems(text: reader.itemText, starts: reader.itemStarts)
    let (isStar, chunkSize) = (reader.isStar, reader.chunkSize)
    let single = (consume reader).submission(key: key)
    return MapSubmission(
      task: single.task, items: isStreamed ? nil : items, id: single.id, pool: single.pool,
      isStar: isStar, chunkSize: chunkSize, options: single.options)
  }

  /// The submission that `body` asks for, under the client's `key` if it gave one.
  static func read(_ body: [UInt8], idempotencyKey key: String?) throws(Problem) -> Submission {
    try body.withUnsafeBufferPointer { (bytes) throws(Problem) in
      try read(bytes, idempotencyKey: key, calling: "the body")
    }
  }

  /// The same of a part of a body, which a problem calls `name`. Places, in bytes and as pointers,
  /// count from its beginning.
  static func read(
    _ bytes: UnsafeBufferPointer<UInt8>, idempotencyKey key: String?, calling name: StaticString
  ) throws(Problem) -> Submission {
    var reader = SubmissionReader()
    try reader.read(bytes, calling: name)
    return (consume reader).submission(key: key)
  }

  private mutating func read(
    _ bytes: UnsafeBufferPointer<UInt8>, calling name: StaticString
  ) throws(Problem) {
    do {
      try JSONReader.read(bytes) { (json) throws(JSONError) in try readObject(&json) }
    } catch {
      if let problem { throw problem }
      throw Problem.invalid("\(name) is not the JSON that is expected: \(error)", at: "")
    }
    if let problem { throw problem }
  }

  private consuming func submission(key: String?) -> Submission {
    let isPlain =
      kwargs.isEmpty && timeout == nil && tags.isEmpty && attemptsMax == 1
      && onInterrupt == .requeue && key == nil && encoding == .json && main == nil
    let options =
      isPlain
      ? nil
      : JobOptions(
        kwargs: kwargs, timeout: timeout, attemptsMax: attemptsMax, onInterrupt: onInterrupt,
        tags: tags, idempotencyKey: key, encoding: encoding, main: main)
    return Submission(task: task, args: args, id: id, pool: pool, options: options)
  }

  private mutating func readObject(_ json: inout JSONReader) throws(JSONError) {
    guard try json.kind() == .object else {
      let example =
        isMap
        ? #"a map is an object like {"task":"square","items":[1,2,3]}"#
        : #"a submission is an object like {"task":"square","args":[7]}"#
      refuse(example, at: "")
      return
    }
    var seen: UInt16 = 0
    try json.beginObject()
    while let name = try json.nextMember() {
      guard let member = Member(named: name), member.belongs(toMap: isMap) else {
        let known = Member.allCases.filter { $0.belongs(toMap: isMap) }.map(\.rawValue)
          .joined(separator: ", ")
        refuse("unknown member; the members are: \(known)", at: JSONPointer.member(name))
        return
      }
      guard seen & member.bit == 0 else {
        refuse("the member stands here twice", at: "/" + name)
        return
      }
      seen |= member.bit
      do {
        try readValue(of: member, &json)
      } catch {
        // A value of the wrong kind is a mistake at its place; anything else is not JSON at all.
        switch error.reason {
        case .wrongType, .numberOutOfRange, .tooDeep:
          refuse("\(error)", at: elementPlace.isEmpty ? "/" + name : elementPlace)
        default: break
        }
        throw error
      }
      if case .some = problem { return }
    }
    if seen & Member.task.bit == 0 { refuse("a submission names its task", at: "/task") }
  }

  private mutating func readValue(
    of member: Member, _ json: inout JSONReader
  ) throws(JSONError) {
    let kind = try json.kind()
    if kind == .null, member != .task {
      try json.readNull()
      return
    }
    switch member {
    case .task: try readTask(&json)
    case .args:
      guard kind == .array else { return refuse("args is an array", at: "/args") }
      args = try json.readText()
    case .kwargs:
      guard kind == .object else { return refuse("kwargs is an object", at: "/kwargs") }
      let text = try json.readText()
      kwargs = text == "{}" ? "" : text
    case .items:
      guard kind == .array else { return refuse("items is an array", at: "/items") }
      hasItems = true
      try json.readElements(to: &itemText, starts: &itemStarts)
    case .star: isStar = try json.readBool()
    case .chunkSize:
      let number = try json.readDouble()
      guard number >= 1, number <= Double(Self.chunkSizeMax), number == number.rounded() else {
        return refuse("a whole number from 1 to \(Self.chunkSizeMax)", at: "/chunksize")
      }
      chunkSize = Int(number)
    case .pool: pool = try json.readString()
    case .id:
      id = JobID(try json.readString())
      if id == nil {
        refuse("an id is 1 to 64 of A-Z a-z 0-9 . _ - and not . or ..", at: "/id")
      }
    case .timeout: try readTimeout(&json)
    case .tags: try readTags(&json)
    case .attemptsMax: try readAttemptsMax(&json)
    case .encoding:
      guard let choice = Encoding(rawValue: try json.readString()) else {
        return refuse("\"json\" or \"pickle\"", at: "/encoding")
      }
      encoding = choice
    case .main: try readMain(&json)
    case .onInterrupt:
      guard let choice = OnInterrupt(rawValue: try json.readString()) else {
        return refuse("\"requeue\" or \"fail\"", at: "/on_interrupt")
      }
      onInterrupt = choice
    }
  }

  private mutating func readTask(_ json: inout JSONReader) throws(JSONError) {
    task = try json.readString()
    if !hasLength(task, atMost: Self.taskLengthMax) {
      refuse("a task's name has 1 to \(Self.taskLengthMax) characters", at: "/task")
    }
  }

  private mutating func readMain(_ json: inout JSONReader) throws(JSONError) {
    let path = try json.readString()
    guard path.hasPrefix("/"), path.utf8.count <= Self.mainBytesMax, !path.utf8.contains(0) else {
      return refuse(
        "the whole path of a script, of at most \(Self.mainBytesMax) bytes", at: "/main")
    }
    main = path
  }

  private mutating func readTimeout(_ json: inout JSONReader) throws(JSONError) {
    let seconds = try json.readDouble()
    guard seconds > 0, seconds <= SubmissionReader.timeoutMax else {
      return refuse("seconds, more than 0 and at most \(Int(Self.timeoutMax))", at: "/timeout")
    }
    timeout = max(1, Milliseconds((seconds * 1_000).rounded()))
  }

  /// Whether a text has at least one and at most so many Unicode scalars.
  private func hasLength(_ text: String, atMost most: Int) -> Bool {
    // A scalar takes a byte at least, so the usual text needs no counting.
    !text.isEmpty && (text.utf8.count <= most || text.unicodeScalars.count <= most)
  }

  /// A whole number however it is written: 6, 6.0 and 0.6e1 are one integer to JSON Schema.
  private mutating func readAttemptsMax(_ json: inout JSONReader) throws(JSONError) {
    let number = try json.readDouble()
    guard number >= 1, number <= Double(Self.attemptsMax), number == number.rounded() else {
      return refuse("a whole number from 1 to \(Self.attemptsMax)", at: "/max_attempts")
    }
    attemptsMax = Int(number)
  }

  private mutating func readTags(_ json: inout JSONReader) throws(JSONError) {
    guard try json.kind() == .array else {
      return refuse("tags is an array of strings", at: "/tags")
    }
    try json.beginArray()
    while try json.nextElement() {
      elementPlace = "/tags/\(tags.count)"
      let tag = try json.readString()
      guard hasLength(tag, atMost: Self.tagLengthMax) else {
        return refuse("a tag has 1 to \(Self.tagLengthMax) characters", at: elementPlace)
      }
      guard tags.count < SubmissionReader.tagsMax else {
        return refuse("at most \(SubmissionReader.tagsMax) tags", at: "/tags")
      }
      tags.append(tag)
    }
    elementPlace = ""
  }

  private mutating func refuse(_ detail: String, at pointer: String) {
    if problem == nil { problem = .invalid(detail, at: pointer) }
  }
}
