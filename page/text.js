// All words of the page, in English and Chinese, and the switch between them. Elements with data-text
// show a text, those with data-label have it as their label; {0}, {1} ... stand for numbers. On touch screens
// and in narrow windows, a text whose key ends with "Touch" takes the place of the one without.

import { keep, kept } from "./store.js";

const TEXTS = {
    title: ["micrograd: a scalar autograd engine, in your browser", "micrograd：标量自动微分引擎，就在浏览器里"],
    tagline: ["a scalar autograd engine, in your browser", "标量自动微分引擎，就在浏览器里"],
    tabs: ["Parts of the page", "页面的各部分"],
    tabTrain: ["Train", "训练"],
    tabGraph: ["Graph", "计算图"],
    tabPad: ["Scratch pad", "草稿"],
    tabGpt: ["GPT", "GPT"],
    language: ["中文", "English"],
    languageLabel: ["切换到中文", "Switch to English"],

    // the run
    play: ["Play", "播放"],
    pause: ["Pause", "暂停"],
    train: ["Train", "训练"],
    step: ["+1 step", "+1 步"],
    hundred: ["+100 steps", "+100 步"],
    reset: ["Reset", "重置"],
    speed: ["Speed", "速度"],
    speedStep: ["{0} step/s", "每秒 {0} 步"],
    speedSteps: ["{0} steps/s", "每秒 {0} 步"],
    speedAll: ["as fast as it goes", "全速"],
    stopped: ["It has stopped: {0}", "已停止：{0}"],
    tooLarge: ["{0}; the learning rate is too large: take a smaller one and press Reset", "{0}；学习率太大：请减小并点击重置"],
    noPoints: [
        "There are no points to train with: add some, or press “Points of this seed again”.",
        "没有用于训练的点：请添加，或点击“按种子重新生成”。",
    ],
    keptNote: [
        "Settings and points are as you left them. “All as in the course” brings back the course's.",
        "设置和点与上次离开时相同。点击“全部恢复为课程设置”可还原。",
    ],
    settings: ["Settings", "设置"],
    data: ["Data", "数据"],
    dataSet: ["Data set", "数据集"],
    simple: ["three fields", "三个区域"],
    circles: ["circles", "圆环"],
    yinyang: ["yin and yang", "太极"],
    points: ["Points", "点数"],
    pointsHint: ["{0} train, {1} validate, {2} kept for a test", "训练 {0}，验证 {1}，留作测试 {2}"],
    seed: ["Seed", "随机种子"],
    newPoints: ["Points of this seed again", "按种子重新生成"],
    network: ["Network", "网络"],
    hidden: ["Hidden layers", "隐藏层"],
    hiddenHint: ["16, or 8, 8 for two layers", "16，或 8, 8 表示两层"],
    activation: ["Activation", "激活函数"],
    optimizer: ["Optimiser", "优化器"],
    lr: ["Learning rate", "学习率"],
    decay: ["Weight decay", "权重衰减"],
    courseSettings: ["All as in the course", "全部恢复为课程设置"],
    inUse: ["In use: {0}.", "现在使用：{0}。"],
    wrong_gpt_rate: ["The learning rate is a number above 0.", "学习率是大于 0 的数。"],
    wrong_seed: ["A seed is a whole number from 1 to 2⁶⁴ − 1.", "种子是 1 到 2⁶⁴ − 1 的整数。"],
    wrong_points: ["Between 10 and 1000 points.", "点数在 10 到 1000 之间。"],
    wrong_hidden: ["One to four layers of 1 to 32 neurons each: 16, or 8, 8.", "一到四层，每层 1 到 32 个神经元：16，或 8, 8。"],
    wrong_lr: ["The learning rate is a number, 0 or more.", "学习率是不小于 0 的数。"],
    wrong_beta1: ["A beta is at least 0 and below 1.", "beta 不小于 0 且小于 1。"],
    wrong_beta2: ["A beta is at least 0 and below 1.", "beta 不小于 0 且小于 1。"],
    wrong_eps: ["eps is above 0 and below 1.", "eps 大于 0 且小于 1。"],
    wrong_decay: ["The weight decay is a number, 0 or more.", "权重衰减是不小于 0 的数。"],

    // the plane
    plane: ["The plane", "平面"],
    planeLabel: [
        "The plane with its points. N and P choose a point, the arrows move it, Delete removes it, 0, 1 and 2 add one of that class.",
        "平面和点。N、P 选择点，方向键移动，Delete 删除，0、1、2 添加该类的点。",
    ],
    planeKeysTouch: ["Drag points with a finger; elsewhere it scrolls.", "可用手指拖动点；在空处则滚动页面。"],
    planeKeys: [
        "Drag points. A click with Shift adds a hollow one. Keys: N, P choose; arrows move; 0, 1, 2 add; Delete removes.",
        "可拖动点。按住 Shift 点击添加空心点。按键：N、P 选择；方向键移动；0、1、2 添加；Delete 删除。",
    ],
    planePoint: ["Point at {0}, {1}, class {2}, {3}", "点 {0}, {1}，类别 {2}，{3}"],
    planeAdded: ["Added: class {0}. Now {1} train, {2} validate.", "已添加：类别 {0}。现在训练 {1}，验证 {2}。"],
    planeFull: ["There are {0} points: no more can be added.", "已有 {0} 个点：不能再添加。"],
    planeRemoved: ["Removed. Now {0} train, {1} validate.", "已删除。现在训练 {0}，验证 {1}。"],
    planeNothing: ["There is no point to delete here.", "这里没有可删除的点。"],
    isTrain: ["to train with", "训练"],
    isVal: ["to validate with", "验证"],
    tool: ["A click", "点击"],
    toolTouch: ["A tap", "轻触"],
    toolMove: ["moves", "移动"],
    toolAdd: ["adds", "添加"],
    toolDelete: ["deletes", "删除"],
    graphOf: ["Graph of the chosen point's loss", "所选点的损失的计算图"],
    legend: ["Filled points are to train with, hollow ones to validate with.", "实心点用于训练，空心点用于验证。"],

    // the network's picture
    shows: ["Colour and width", "颜色与粗细"],
    showsValue: ["value", "数值"],
    showsGradient: ["gradient", "梯度"],
    networkLabel: ["The network {0}, with {1} parameters", "网络 {0}，{1} 个参数"],
    networkNote: ["Point at a weight to read it, or use the arrow keys.", "指向权重可读数值，也可用方向键。"],
    networkNoteTouch: ["Touch a weight to read it.", "触摸权重可读数值。"],
    networkMaps: ["In a neuron: its output over the plane.", "神经元内：它在平面上的输出。"],
    networkScale: [
        "Red is negative, blue positive: the widest line, or the strongest colour, is ±{0}.",
        "红色为负，蓝色为正：最粗的线或最浓的颜色为 ±{0}。",
    ],
    networkZero: ["All are 0 so far.", "目前全部为 0。"],

    // losses and lines
    losses: ["Losses", "损失"],
    curvesLabel: ["Curves of both losses on a logarithmic axis.", "两条损失曲线，对数坐标。"],
    stepsNone: ["No step yet", "还没有训练"],
    stepsDone: ["Steps done: {0}; step {1}: train loss {2}, val loss {3}", "已完成 {0} 步；第 {1} 步：训练损失 {2}，验证损失 {3}"],
    accuracyNow: ["accuracy now: train {0}, val {1}", "现在的正确率：训练 {0}，验证 {1}"],
    valFew: [
        "With {0} points to validate, val says little: each is {1} % of its accuracy.",
        "只有 {0} 个验证点，验证结果说明不了多少：每个点占正确率的 {1} %。",
    ],
    stepTime: ["{0} µs a step", "每步 {0} µs"],
    trainLoss: ["train", "训练"],
    valLoss: ["val", "验证"],
    printed: ["What it prints", "打印的内容"],
    thisPage: ["this page", "本页"],
    theCourse: ["the course", "课程"],
    courseWhat: [
        "The course is the micrograd module of LLM101n. Points, weights and the order of all operations are its own. Digits that differ are no error: exp, log, tanh and pow come from other mathematics libraries here (zig's and musl's, not glibc's), which sometimes round the last place differently.",
        "“课程”指 LLM101n 的 micrograd 一章。点、权重和运算顺序与它相同。数字不同并不是错误：这里的 exp、log、tanh、pow 来自别的数学库（zig 和 musl，而非 glibc），末位的舍入有时不同。",
    ],
    digitsNone: ["The course's digits will stand beside this page's.", "课程的数字会显示在旁边。"],
    digitsSame: ["All {0} lines are the course's, to the last digit.", "全部 {0} 行与课程完全一致。"],
    digitsDiffer: [
        "The first digit that is not the course's: step {0}, digit {1}. {2} of {3} lines are the same.",
        "第一个与课程不同的数字：第 {0} 步，第 {1} 位。{3} 行中有 {2} 行相同。",
    ],
    courseEnds: ["the course ends here", "课程到此为止"],
    digitsOther: ["With these settings and points there are no digits of the course to compare with.", "这些设置和点没有可比较的课程数字。"],

    // graphs
    graphTitle: ["The graph of one point's loss", "一个点的损失的计算图"],
    graphIntro: [
        "Every number is a node. Backward goes from the loss to the left, one node at a time, and adds to the gradients of its operands. Leaves (weights, inputs, constants) were not computed: they have no rule and no step.",
        "每个数都是一个节点。反向传播从损失开始向左，一次一个节点，把梯度加到它的操作数上。叶子（权重、输入、常数）不是算出来的：没有规则，也没有步骤。",
    ],
    graphPaused: ["Training is paused, so that this graph stays as it is.", "训练已暂停，使这张图保持不变。"],
    pointWorst: ["Point with the largest loss", "损失最大的点"],
    pointFlat: [
        "The loss is almost 0, and so are its gradients. To see more, choose the point with the largest loss, or Reset on the tab Train.",
        "损失几乎为 0，梯度也是。想看得更清楚，可选择损失最大的点，或在“训练”页点击“重置”。",
    ],
    pointBefore: ["Point before", "上一个点"],
    pointAfter: ["Next point", "下一个点"],
    pointNow: ["Point {0} at ({1}, {2}), class {3}; steps of training done: {4}", "点 {0}（{1}, {2}），类别 {3}；已训练 {4} 步"],
    pointNone: ["There are no points.", "没有点。"],
    graphKeys: [
        "Graph. Full stop and comma step forward and back, Home and End go to the ends; N and P choose a node; arrows move the graph, + and - magnify, 0 fits.",
        "计算图。句号、逗号前进和后退一步，Home、End 到两端；N、P 选择节点；方向键移动，+ - 缩放，0 适应。",
    ],
    graphHint: ["Point at a node to read all digits. Keys: . and , step; N, P choose a node; arrows move; + and − magnify.", "指向节点可读全部数字。按键：. 和 , 前后一步；N、P 选择节点；方向键移动；+ − 缩放。"],
    graphHintTouch: ["Touch a node to read all digits. One finger moves the graph, two magnify.", "触摸节点可读全部数字。一指移动，两指缩放。"],
    graphTooLarge: ["The graph has {0} nodes, too many to draw. Take fewer neurons.", "图有 {0} 个节点，太多无法绘制。请减少神经元。"],
    graphSize: ["{0} nodes.", "{0} 个节点。"],
    stepBar: ["Steps of backward", "反向传播的步骤"],
    stepStart: ["To the start: no gradients", "回到开头：没有梯度"],
    stepBack: ["One step back", "后退一步"],
    stepForward: ["One step forward", "前进一步"],
    stepPlay: ["Play the steps", "播放步骤"],
    stepEnd: ["To the end: all gradients", "到结尾：所有梯度"],
    stepSlider: ["Step of backward", "反向传播的步骤"],
    zoomIn: ["Larger", "放大"],
    zoomOut: ["Smaller", "缩小"],
    zoomFit: ["Fit", "适应"],
    nodeNumbers: ["{0}: data {1}, grad {2}", "{0}：data {1}，grad {2}"],
    ruleChange: ["{0}: {1}", "{0}：{1}"],
    ruleNone: [
        "Before backward: every gradient is 0.\nPress ▶ for one step. It begins at {0}, in the thick frame.",
        "反向传播之前：所有梯度为 0。\n点 ▶ 前进一步，从粗框中的 {0} 开始。",
    ],
    ruleEarlier: [
        "Before the last backward(): the gradients are those that the passes before it have left.\nPress ▶ for one step. It begins at {0}, in the thick frame.",
        "最后一次 backward() 之前：梯度是之前各次留下的。\n点 ▶ 前进一步，从粗框中的 {0} 开始。",
    ],
    ruleRoot: ["backward() begins: d {0} / d {0} is 1.", "backward() 开始：d {0} / d {0} 为 1。"],
    ruleAll: [
        "backward() is done.\nThe first step set {0}.grad to 1; then each computed node had one: {1}.\nLeaves have no rule and so no step: {2}. Press ◀ to step back.",
        "backward() 已完成。\n第一步把 {0}.grad 设为 1；然后每个算出的节点一步：{1} 个。\n叶子没有规则，所以没有步骤：{2} 个。点 ◀ 后退一步。",
    ],
    pointShows: ["Network: colour by", "网络颜色"],
    small: ["Use 3 neurons (starts anew)", "改用 3 个神经元（重新开始）"],
    smallAnew: ["The training of {0} steps will be lost: the network starts anew.", "已训练的 {0} 步将丢失：网络重新开始。"],
    smallBack: ["Back to {0} (starts anew)", "恢复为 {0}（重新开始）"],

    // the scratch pad
    padTitle: ["Write a few lines", "写几行代码"],
    padIntro: [
        "Names, numbers, Value(...), + - * / ** and +=, parentheses, .tanh() .relu() .exp() .log() .sigmoid() .sqrt() .sin() .cos() .backward(). Computed by the C tape.",
        "变量名、数字、Value(...)、+ - * / ** 和 +=、括号、.tanh() .relu() .exp() .log() .sigmoid() .sqrt() .sin() .cos() .backward()。由 C 引擎计算。",
    ],
    padText: ["Program", "程序"],
    example: ["Example", "示例"],
    exampleOwn: ["your own", "自己的"],
    exampleFirst: ["the README's", "README 的例子"],
    exampleNeuron: ["a neuron", "一个神经元"],
    exampleTwice: ["a value used twice", "一个值用两次"],
    exampleChain: ["a long chain", "长链"],
    padValues: ["Named values", "命名的值"],
    name: ["name", "名称"],
    padWhere: ["line {0}, column {1}: {2}", "第 {0} 行第 {1} 列：{2}"],
    padPower: ["“^” is no power; write **, such as x**2", "“^” 不是乘方；请写 **，如 x**2"],
    padComma: ["one name a line: write a = 1; b = 2", "每次只给一个名称赋值：请写 a = 1; b = 2"],
    padPrint: ["no print is needed: the table shows all named values", "不需要 print：表格显示所有命名的值"],
    padStatement: ["no “{0}” here: there are no loops, conditions, functions or imports, only assignments", "这里不能用 “{0}”：没有循环、条件、函数和导入，只有赋值"],
    padNumber: ["{0} is a number and has no gradient: write Value({0})", "{0} 是数字，没有梯度：请写 Value({0})"],
    padCalled: ["backward() of the last Value, {0}, was called for you.", "已为你调用最后一个 Value（{0}）的 backward()。"],
    padCharacter: ["“{0}” has no meaning here", "“{0}” 在这里没有意义"],
    padWide: [
        "“{0}” looks like “{1}” and is another character; write “{1}”",
        "“{0}” 不是 “{1}”，是另一个字符（如全角）；请写 “{1}”",
    ],
    padExpected: ["expected “{0}”, found {1}", "应为 “{0}”，却是 {1}"],
    padOperand: ["expected a number, a name or a parenthesis, found {0}", "应为数字、名称或括号，却是 {0}"],
    padMethod: ["{0} is no method; there are {1}", "没有方法 {0}；可用的有 {1}"],
    padFunction: ["there is no function {0}; write x.{0}()", "没有函数 {0}；请写 x.{0}()"],
    padNoFunction: ["there is no function {0}; there are Value(...), {1}", "没有函数 {0}；可用的有 Value(...)、{1}"],
    padReserved: ["{0} cannot be given another meaning", "{0} 不能改作他用"],
    padEnd: ["expected the end of the line, found {0}", "应为行尾，却是 {0}"],
    padName: ["{0} has no value yet", "{0} 还没有值"],
    padValueOfValue: ["Value takes a number, and this is a Value", "Value 需要数字，这里是 Value"],
    padNumberMethod: ["a number has no method {0}; write Value(...)", "数字没有方法 {0}；请写 Value(...)"],
    padNothing: ["backward() returns nothing", "backward() 没有返回值"],
    padDeep: [
        "this is longer or deeper than {0} operations in one another; give parts of it names of their own",
        "嵌套或连续的运算超过 {0} 层；请给其中的部分单独命名",
    ],
    padLarge: ["the graph has {0} nodes, and at most {1} are drawn", "图有 {0} 个节点，最多绘制 {1} 个"],
    padInfinite: ["{0} is inf: too large for a float, as in Python", "{0} 是 inf：超出浮点数范围，与 Python 相同"],
    padNan: [
        "{0} is nan, as in Python: the numbers have no result, such as inf - inf",
        "{0} 是 nan，与 Python 相同：这些数没有结果，如 inf - inf",
    ],
    padNanPower: [
        "{0} is nan, as in Python: the derivative of {1} ** b by b needs log({1}), which is no real number",
        "{0} 是 nan，与 Python 相同：{1} ** b 对 b 的导数需要 log({1})，它不是实数",
    ],
    padEmpty: ["there is no Value to show yet", "还没有可显示的 Value"],
    noMemory: ["there is no memory left", "内存不足"],
    // as Python's engine says it
    noLog: ["{0}: only positive numbers have a logarithm", "{0}：只有正数有对数"],
    noLogZero: [
        "{0}: only positive numbers have a logarithm; if it is a probability of softmax, a logit is some 745 below the largest; and 1 - x.sigmoid() is 0.0 from x = 37 on: write (-x).sigmoid().log()",
        "{0}：只有正数有对数；如果它是 softmax 的概率，就有一个 logit 比最大的小约 745；而 1 - x.sigmoid() 从 x = 37 起就是 0.0：请写 (-x).sigmoid().log()",
    ],
    noSqrt: ["{0}: a negative number has no real square root", "{0}：负数没有实平方根"],
    noSin: ["{0}: an infinite angle has no sine", "{0}：无穷大的角没有正弦"],
    noCos: ["{0}: an infinite angle has no cosine", "{0}：无穷大的角没有余弦"],
    noQuotient: ["{0}: division by zero", "{0}：除数为零"],
    noRoot: ["{0}: a negative number has no real fractional power", "{0}：负数没有实的分数次幂"],
    noInverse: ["{0}: zero has no negative power", "{0}：零没有负数次幂"],
    noInverseOne: [
        "{0}: zero has no negative power; if this is b in a / b, it is a division by zero",
        "{0}：零没有负数次幂；如果这是 a / b 中的 b，就是除数为零",
    ],
    noInverseSlope: [
        "{0}: zero has no negative power; if backward() needs it, it is the slope of x ** {2} at {1}",
        "{0}：零没有负数次幂；如果是 backward() 需要它，它是 x ** {2} 在 {1} 处的斜率",
    ],
    noFloat: ["{0} is too large for a float", "{0} 超出浮点数范围"],
    noPower: [
        "{0} is too large for a float. Smaller inputs, weights or steps keep numbers small",
        "{0} 超出浮点数范围。较小的输入、权重或步长能让数值保持较小",
    ],
    notFinite: ["the loss is no finite number any more", "损失已不是有限的数"],
    noSlope: ["{0} has no derivative", "{0} 没有导数"],

    // the GPT
    gptTitle: ["A small GPT that learns words", "学习单词的小 GPT"],
    gptIntro: [
        "The transformer of examples/gpt.py: one layer, four heads, 4192 parameters. It reads words and learns to make up others like them. A graph is recorded for each length of words and then only computed again.",
        "examples/gpt.py 的 transformer：一层，四个头，4192 个参数。它读单词，并学会编造相似的词。每种长度只录制一次图，之后重新计算。",
    ],
    gptAnewHint: ["Other words, or another seed, start the training anew.", "更改单词或种子，训练会重新开始。"],
    gptAnew: ["The training has started anew.", "训练已重新开始。"],
    gptRivers: ["The rivers again", "恢复河流名"],
    gptWords: ["Words, one a line", "单词，每行一个"],
    gptWrongWord: ["Line {0}: “{1}” is not at most {2} letters a–z.", "第 {0} 行：“{1}” 不是最多 {2} 个字母 a–z 的词。"],
    gptNoWords: ["There are no words.", "没有单词。"],
    gptManyWords: ["At most {0} words.", "最多 {0} 个单词。"],
    gptNow: ["Step {0}: {1} words, {2} parameters, mean loss {3}", "第 {0} 步：{1} 个单词，{2} 个参数，平均损失 {3}"],
    gptNowOne: ["Step {0}: 1 word, {2} parameters, mean loss {3}", "第 {0} 步：1 个单词，{2} 个参数，平均损失 {3}"],
    gptWrongLook: ["Only letters a–z, at most {0} of them.", "只能用字母 a–z，最多 {0} 个。"],
    gptLook: ["What it has learned", "学到了什么"],
    gptWord: ["Look at a word", "查看一个词"],
    gptLetters: ["After which letter?", "在哪个字母之后？"],
    gptNext: ["Next: {0}", "下一个：{0}"],
    gptNextLabel: ["How likely each letter is to come next; · ends the word", "下一个字母的概率；· 表示词尾"],
    attention: ["Attention", "注意力"],
    attentionNote: ["A row shows where a letter looks back to; the stronger the colour, the more.", "每一行表示该字母回看哪里；颜色越浓越多。"],
    head: ["head {0}", "头 {0}"],
    headLabel: ["Head {0}: {1} looks most at {2}, {3}%", "头 {0}：{1} 最关注 {2}，{3}%"],
    gptMade: ["Words made up", "编造的词"],
    gptMake: ["Make up 10 words", "编 10 个词"],
    temperature: ["Temperature", "温度"],
    gptKnown: ["Italic and grey: one of the words it has read.", "灰色斜体：它读过的词。"],

    // what words mean
    words: ["What the words mean", "名词解释"],
    loss: ["Loss", "损失"],
    wordLoss: ["how wrong the network is: 0 where it is sure and right", "网络错得多厉害：确信且正确时为 0"],
    wordTrain: ["the points that the network learns from: filled", "网络从中学习的点：实心"],
    wordVal: ["validation: points that it does not learn from, to see whether it is right about new ones: hollow", "网络不学习的点，用来看它对新的点是否正确：空心"],
    accuracy: ["Accuracy", "正确率"],
    wordAccuracy: ["the share of points whose class it finds", "类别判断正确的点所占的比例"],
    gradient: ["Gradient", "梯度"],
    wordGradient: ["how fast the loss grows if this number grows: its derivative", "这个数增大时损失增大得多快：即导数"],
    wordSeed: ["where the random numbers begin: the same seed gives the same points and weights", "随机数的起点：相同的种子得到相同的点和权重"],
    wordHidden: ["how many neurons are between the two inputs and the three outputs", "两个输入和三个输出之间的神经元个数"],
    wordActivation: ["the function at a neuron's end: tanh, or relu, which makes negative numbers 0", "神经元末端的函数：tanh，或把负数变为 0 的 relu"],
    wordOptimizer: [
        "moves each weight against its gradient. SGD: by learning rate × gradient; Adam: by about the learning rate, whatever the gradient's size; AdamW: Adam with weight decay",
        "把每个权重朝梯度的反方向移动。SGD：学习率 × 梯度；Adam：每步约为学习率，与梯度大小无关；AdamW：带权重衰减的 Adam",
    ],
    wordRate: ["how far a step moves the weights", "一步把权重移动多远"],
    wordBetas: ["Adam's memory of the gradients (beta1) and of their squares (beta2): 0 is none, near 1 long", "Adam 对梯度（beta1）和梯度平方（beta2）的记忆：0 表示没有，接近 1 表示很长"],
    wordEps: ["a small number, so that Adam never divides by 0", "一个小数，使 Adam 不会除以 0"],
    wordDecay: ["how much each step pulls every weight towards 0", "每一步把所有权重向 0 拉多少"],
    wordData: ["the number of this node, as computed", "这个节点算出的数"],
    wordGrad: ["the derivative of the loss by it: blue is positive, red negative", "损失对它的导数：蓝色为正，红色为负"],
    wordNumber: ["a node that has no name, by its place in the order", "没有名字的节点，按它在顺序中的位置编号"],
    wordWeight: ["weight and bias: layer 0, neuron 3, input 1 (0 is x, 1 is y); all count from 0. Green", "权重和偏置：第 0 层，神经元 3，输入 1（0 是 x，1 是 y）；都从 0 数起。绿色"],
    wordInput: ["the point's place: blue", "点的位置：蓝色"],
    wordOutput: ["the output of a hidden neuron", "隐藏神经元的输出"],
    wordLogit: ["the network's number for class 1; the largest wins", "网络给类别 1 的数；最大者胜出"],
    wordMax: ["the largest logit is taken off all, so that exp does not overflow: a constant, grey", "从所有 logit 中减去最大的，使 exp 不溢出：常数，灰色"],
    wordLikely: ["how likely the network holds the right class, 0; loss = -log(p)", "网络认为正确类别（这里是 0）的概率；loss = -log(p)"],
    stepWord: ["Step", "步"],
    wordGptStep: ["it reads one word, and each weight moves once", "读一个单词，每个权重移动一次"],
    wordGptSeed: [
        "where the random numbers begin: the same seed gives the same first weights, the same order of the words, and the same words made up",
        "随机数的起点：相同的种子得到相同的初始权重、相同的单词顺序和相同的编造的词",
    ],
    wordEmpty: ["a made-up word that ended before its first letter", "在第一个字母之前就结束的词"],
    wordToken: ["the start or the end of a word", "词的开头或结尾"],
    wordTemperature: ["how daring it is: near 0 it takes the likeliest letter, above 1 more often others", "冒险的程度：接近 0 时选最可能的字母，大于 1 时更多选其他字母"],
    wordHead: ["each of the four heads looks back at earlier letters, at which ones it has learned", "四个头各自回看前面的字母，看哪些由学习决定"],
    wordGptLoss: ["how surprised it was by the next letters; guessing among 27 gives 3.3", "它对下一个字母有多意外；在 27 个中乱猜是 3.3"],

    about: ["How this page works", "本页如何工作"],
    about1: [
        "The engine is micrograd's own C library, csrc/, compiled to WebAssembly ({0} kB) and part of this file. The page asks nothing of any network and keeps, in this browser only, the language, the settings, the points, the scratch pad and the words.",
        "引擎是 micrograd 自己的 C 库 csrc/，编译成 WebAssembly（{0} kB），就在这个文件里。本页不访问网络，只在本浏览器中保存语言、设置、点、草稿和单词。",
    ],
    about2: [
        "Each step records or replays a graph of scalars, goes backward through it and lets the optimiser move the weights, in the same order of operations as the plain-Python engine.",
        "每一步录制或重放标量计算图，反向传播，再由优化器移动权重，运算顺序与纯 Python 引擎相同。",
    ],
};

const touch = matchMedia("(pointer: coarse), (max-width: 45em)"); // touch screens and narrow windows
const LANGUAGES = ["en", "zh"];
let language = 0;
const listeners = [];
const said = new Map(); // what elements say now: functions that return it in the language in use

export const onLanguage = listener => listeners.push(listener);

export function t(key, ...values) {
    const texts = (touch.matches && TEXTS[`${key}Touch`]) || TEXTS[key];
    return texts[language].replace(/\{(\d)\}/g, (_, k) => values[k]);
}

// Show what text() returns, now and in the other language after a switch; without text nothing.
export function say(element, text = () => "") {
    said.set(element, text);
    element.textContent = text();
}

function apply() {
    document.documentElement.lang = LANGUAGES[language];
    document.title = t("title");
    for (const node of document.querySelectorAll("[data-text]")) {
        const [key, ...values] = node.dataset.text.split("|");
        node.textContent = t(key, ...values);
    }
    for (const node of document.querySelectorAll("[data-label]")) {
        node.setAttribute("aria-label", t(node.dataset.label));
        if (node.tagName === "BUTTON") node.title = t(node.dataset.label);
    }
    for (const [element, text] of said) element.textContent = text();
    listeners.forEach(listener => listener());
}

export function startLanguage() {
    language = LANGUAGES.indexOf(kept("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en"));
    if (language < 0) language = 0;
    document.getElementById("language").onclick = () => {
        language = 1 - language;
        keep("language", LANGUAGES[language]);
        apply();
    };
    touch.onchange = apply;
    apply();
}
