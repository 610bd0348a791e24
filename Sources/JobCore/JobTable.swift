/// Jobs by number, in pages of consecutive numbers.
///
/// Numbers only grow and old jobs go first, so a page is given back whole soon after its jobs are
/// forgotten; a lookup is two index operations, and iteration is by number, the same in every
/// process, which a dictionary's is not.
struct JobTable: Equatable, Sendable {
  private static let pageSize: JobNumber = 256

  private struct Page: Equatable {
    var jobs: ContiguousArray<Job?>
    var count = 0
  }

  private var pages: ContiguousArray<Page?> = []
  /// The page number of `pages[0]`.
  private var firstPage: JobNumber = 0
  /// How many jobs are held; without what is hidden.
  private(set) var count = 0

  /// Maps whose chunks are not held any more, though they are still here.
  private var hiddenMaps: Set<MapNumber> = []
  /// Whether there are any.
  private var hides = false
  /// How many chunks of such maps are still here.
  private(set) var hiddenCount = 0

  /// The job with `number`, or nil if it is not held. Inlined, so that whoever looks at one member
  /// does not pay for a copy of all.
  @inline(__always)
  subscript(number: JobNumber) -> Job? {
    guard let index = pageIndex(of: number), !hides || !isHidden(number) else { return nil }
    return pages[index]?.jobs[Int(number % JobTable.pageSize)]
  }

  /// The brief of the job with `number`, without a copy of the job.
  func brief(of number: JobNumber) -> JobBrief? {
    guard let index = pageIndex(of: number), pages[index] != nil, !hides || !isHidden(number)
    else { return nil }
    return pages[index].unsafelyUnwrapped.jobs.withUnsafeBufferPointer { jobs in
      guard let job = jobs.baseAddress.unsafelyUnwrapped[Int(number % JobTable.pageSize)] else {
        return nil
      }
      return JobBrief(job)
    }
  }

  /// The id of the job with `number`, without a copy of the job.
  @inline(__always)
  func id(of number: JobNumber) -> JobID? {
    guard let index = pageIndex(of: number), !hides || !isHidden(number) else { return nil }
    return pages[index]?.jobs[Int(number % JobTable.pageSize)]?.id
  }

  /// Adds a job whose number is not held. Numbers may come in any order, but a page far below the
  /// first one costs the pages between.
  mutating func insert(_ job: Job) {
    let page = job.number / JobTable.pageSize
    if pages.isEmpty { firstPage = page }
    if page < firstPage {
      // All at once: one by one would move everything for each page of the gap.
      pages.insert(contentsOf: repeatElement(nil, count: Int(firstPage - page)), at: 0)
      firstPage = page
    }
    while page >= firstPage + JobNumber(pages.count) { pages.append(nil) }
    let index = Int(page - firstPage)
    if pages[index] == nil {
      pages[index] = Page(jobs: ContiguousArray(repeating: nil, count: Int(JobTable.pageSize)))
    }
    let slot = Int(job.number % JobTable.pageSize)
    precondition(pages[index]!.jobs[slot] == nil, "job \(job.number) is held already")
    pages[index]!.jobs[slot] = job
    pages[index]!.count += 1
    count += 1
  }

  /// Changes a held job in place.
  mutating func update<R>(_ number: JobNumber, _ change: (inout Job) -> R) -> R {
    guard let index = pageIndex(of: number), pages[index] != nil else {
      preconditionFailure("job \(number) is not held")
    }
    return change(&pages[index]!.jobs[Int(number % JobTable.pageSize)]!)
  }

  /// Takes out a job that is held.
  mutating func remove(_ number: JobNumber) -> Job? {
    guard let index = pageIndex(of: number), pages[index] != nil else { return nil }
    let slot = Int(number % JobTable.pageSize)
    guard let job = pages[index]!.jobs[slot] else { return nil }
    pages[index]!.jobs[slot] = nil
    pages[index]!.count -= 1
    count -= 1
    if pages[index]!.count == 0 { giveBack(index) }
    return job
  }

  // MARK: Hiding

  /// From now on the chunks of a map, `count` of which are here, are not held; `removeHidden` takes
  /// them out one after the other. O(1).
  mutating func hide(chunksOf map: MapNumber, count hidden: Int) {
    hiddenMaps.insert(map)
    hides = true
    count -= hidden
    hiddenCount += hidden
  }

  /// Takes a chunk of a hidden map out, if it is still here.
  mutating func removeHidden(_ number: JobNumber) -> Job? {
    guard let job = remove(number) else { return nil }
    count += 1
    hiddenCount -= 1
    return job
  }

  /// Forgets a hidden map, of which no chunk is here any more.
  mutating func endHiding(_ map: MapNumber) {
    hiddenMaps.remove(map)
    hides = !hiddenMaps.isEmpty
  }

  /// Whether the job with `number`, if there is one, is a chunk of a hidden map.
  @inline(never)
  private func isHidden(_ number: JobNumber) -> Bool {
    guard let index = pageIndex(of: number),
      let chunk = pages[index]?.jobs[Int(number % JobTable.pageSize)]?.options?.chunk
    else { return false }
    return hiddenMaps.contains(chunk.map)
  }

  private func isHidden(_ job: Job) -> Bool {
    hides && job.options?.chunk.map { hiddenMaps.contains($0.map) } ?? false
  }

  private mutating func giveBack(_ index: Int) {
    pages[index] = nil
    guard index == 0 else { return }
    let empty = pages.firstIndex { $0 != nil } ?? pages.count
    pages.removeFirst(empty)
    firstPage += JobNumber(empty)
  }

  private func pageIndex(of number: JobNumber) -> Int? {
    let page = number / JobTable.pageSize
    guard page >= firstPage, page - firstPage < JobNumber(pages.count) else { return nil }
    return Int(page - firstPage)
  }

  /// Calls `body` for each job in ascending order of number.
  func forEachAscending(_ body: (Job) -> Void) {
    for index in pages.indices {
      guard let page = pages[index], page.count > 0 else { continue }
      for slot in page.jobs.indices {
        if let job = page.jobs[slot], !isHidden(job) { body(job) }
      }
    }
  }

  /// Calls `body` for each job below `bound` in descending order, until it answers false.
  func descend(below bound: JobNumber, while body: (Job) -> Bool) {
    guard !pages.isEmpty, bound > firstPage * JobTable.pageSize else { return }
    let last = min(bound - 1, (firstPage + JobNumber(pages.count)) * JobTable.pageSize - 1)
    var index = Int(last / JobTable.pageSize - firstPage)
    var slot = Int(last % JobTable.pageSize)
    while index >= 0 {
      if let page = pages[index] {
        while slot >= 0 {
          if let job = page.jobs[slot], !isHidden(job), !body(job) { return }
          slot -= 1
        }
      }
      slot = Int(JobTable.pageSize) - 1
      index -= 1
    }
  }

  /// Equal when the same jobs are held, wherever the pages begin.
  static func == (lhs: JobTable, rhs: JobTable) -> Bool {
    guard lhs.count == rhs.count else { return false }
    var isEqual = true
    lhs.forEachAscending { job in
      if isEqual, rhs[job.number] != job { isEqual = false }
    }
    return isEqual
  }
}
